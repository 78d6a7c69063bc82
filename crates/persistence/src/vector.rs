//! pgvector's `halfvec` for diesel: the crate `pgvector` would require libpq.

use std::io::Write as _;

use diesel::{
    expression::AsExpression,
    pg::Pg,
    query_builder::QueryId,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::SqlType,
};
use half::f16;
use patchbay_domain::knowledge::Embedding;

/// The SQL type.
#[derive(SqlType, QueryId)]
#[diesel(postgres_type(name = "halfvec"))]
pub struct HalfVec;

/// A half-precision vector.
#[derive(Debug, AsExpression)]
#[diesel(sql_type = HalfVec)]
pub struct Half(Vec<f16>);

impl From<&Embedding> for Half {
    fn from(embedding: &Embedding) -> Self {
        Self(embedding.0.iter().map(|x| f16::from_f32(*x)).collect())
    }
}

impl ToSql<HalfVec, Pg> for Half {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let dimensions = u16::try_from(self.0.len())?;
        out.write_all(&dimensions.to_be_bytes())?;
        // Reserved bytes.
        out.write_all(&0_u16.to_be_bytes())?;
        for x in &self.0 {
            out.write_all(&x.to_be_bytes())?;
        }
        Ok(IsNull::No)
    }
}
