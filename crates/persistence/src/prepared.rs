//! Statements that are prepared once for each connection although Diesel would prepare them anew each time, with a round trip
//! of its own: updates, upserts, and those with SQL text.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
};

/// Up to this number of rows, inserts of several rows are kept: each number of rows makes another text.
pub const FEW: usize = 4;

/// A statement that is kept by its text, as long as the connection is. So its text must be one of few: no tenant and no large
/// number of rows may stand in it. It is not for statements whose best plan depends on the values: after five executions
/// PostgreSQL may use one plan for all.
pub struct Prepared<S> {
    statement: S,
    is_kept: bool,
}

/// Keeps a statement.
pub trait Prepare: Sized {
    /// The same statement, prepared once.
    fn prepared(self) -> Prepared<Self> {
        self.prepared_if(true)
    }

    /// The same, prepared once if this holds.
    fn prepared_if(self, is_kept: bool) -> Prepared<Self> {
        Prepared {
            statement: self,
            is_kept,
        }
    }
}

impl<S> Prepare for S {}

impl<S: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<S> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.statement.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(self.is_kept)
    }
}

impl<S> QueryId for Prepared<S> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<S: Query> Query for Prepared<S> {
    type SqlType = S::SqlType;
}
