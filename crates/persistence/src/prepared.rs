//! SQL text with values, prepared once for each connection. Diesel's own (`diesel::sql_query`, `diesel::dsl::sql`) is parsed
//! anew each time, with a round trip of its own; it is right where the text differs from tenant to tenant, since prepared
//! statements are kept as long as the connection.

use std::{borrow::Cow, marker::PhantomData};

use diesel::{
    AppearsOnTable, Expression, SelectableExpression,
    expression::{TypedExpressionType, ValidGrouping, is_aggregate},
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    serialize::ToSql,
    sql_types::{HasSqlType, Untyped},
};

type Part<'a> = Box<dyn QueryFragment<Pg> + Send + 'a>;

/// A whole statement; `$1` is the value that is bound first.
pub struct Statement<'a> {
    sql: Cow<'a, str>,
    values: Vec<Part<'a>>,
}

/// A statement of this text.
pub fn statement<'a>(sql: impl Into<Cow<'a, str>>) -> Statement<'a> {
    Statement {
        sql: sql.into(),
        values: Vec::new(),
    }
}

impl<'a> Statement<'a> {
    /// Binds the next value.
    pub fn bind<ST, V>(mut self, value: V) -> Self
    where
        ST: Send + 'a,
        V: ToSql<ST, Pg> + Send + 'a,
        Pg: HasSqlType<ST>,
    {
        self.values.push(Box::new(Numbered(value, PhantomData)));
        self
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(&self.sql);
        let mut values = self.values.iter();
        values.try_for_each(|value| value.walk_ast(out.reborrow()))
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

impl<C> RunQueryDsl<C> for Statement<'_> {}

/// A value whose placeholder is in the text.
struct Numbered<ST, V>(V, PhantomData<ST>);

impl<ST, V> QueryFragment<Pg> for Numbered<ST, V>
where
    V: ToSql<ST, Pg>,
    Pg: HasSqlType<ST>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param_value_only(&self.0)
    }
}

/// An expression of the type `ST` in a query of Diesel.
pub struct Fragment<'a, ST> {
    parts: Vec<Part<'a>>,
    sql_type: PhantomData<ST>,
}

/// An expression that begins with this text.
pub fn fragment<'a, ST>(sql: &'static str) -> Fragment<'a, ST> {
    let sql_type = PhantomData;
    Fragment {
        parts: vec![Box::new(Text(sql))],
        sql_type,
    }
}

impl<'a, ST> Fragment<'a, ST> {
    /// Appends text.
    pub fn sql(mut self, sql: &'static str) -> Self {
        self.parts.push(Box::new(Text(sql)));
        self
    }

    /// Appends a value.
    pub fn bind<T, V>(mut self, value: V) -> Self
    where
        T: Send + 'a,
        V: ToSql<T, Pg> + Send + 'a,
        Pg: HasSqlType<T>,
    {
        self.parts.push(Box::new(Value(value, PhantomData)));
        self
    }
}

impl<ST> QueryFragment<Pg> for Fragment<'_, ST> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut parts = self.parts.iter();
        parts.try_for_each(|part| part.walk_ast(out.reborrow()))
    }
}

impl<ST> QueryId for Fragment<'_, ST> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<ST: TypedExpressionType> Expression for Fragment<'_, ST> {
    type SqlType = ST;
}

impl<ST, S> AppearsOnTable<S> for Fragment<'_, ST> where Self: Expression {}

impl<ST, S> SelectableExpression<S> for Fragment<'_, ST> where Self: Expression {}

impl<ST, G> ValidGrouping<G> for Fragment<'_, ST> {
    type IsAggregate = is_aggregate::Never;
}

struct Text(&'static str);

impl QueryFragment<Pg> for Text {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(self.0);
        Ok(())
    }
}

struct Value<T, V>(V, PhantomData<T>);

impl<T, V> QueryFragment<Pg> for Value<T, V>
where
    V: ToSql<T, Pg>,
    Pg: HasSqlType<T>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_bind_param(&self.0)
    }
}
