//! Pagination.

use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::BigInt,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, methods::LoadQuery};
use futures_util::{Stream, StreamExt as _};

use crate::Result;

/// Bytes of large columns at which a page ends early, whatever its limit.
const MOST_BYTES: usize = 4 << 20;
/// Rows up to which a list is counted.
const MOST_COUNTED: i64 = 10_000;

/// Position and limit of a page, newest first.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Limit, 1 to 100. One more row is fetched to find out whether there is a next page.
    pub limit: i64,
    /// The last id of the previous page.
    pub before: Option<uuid::Uuid>,
    /// Whether all rows of the list are counted too.
    pub count: bool,
}

/// Number of rows of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Total {
    /// The number, or [`MOST_COUNTED`] if there are more.
    pub value: i64,
    /// Whether it is the exact number.
    pub exact: bool,
}

/// The rows of a page.
#[derive(Debug)]
pub struct Rows<T> {
    /// At most the limit, or as many as fit.
    pub rows: Vec<T>,
    /// Whether there is a next page.
    pub more: bool,
    /// Number of rows of the list, if it was asked for.
    pub total: Option<Total>,
}

impl<T> Rows<T> {
    /// With the number of rows of the list.
    pub(crate) fn with_total(self, total: Option<Total>) -> Self {
        Self { total, ..self }
    }
}

/// The statement that counts the rows of a query.
#[derive(QueryId)]
pub(crate) struct Counted<Q>(Q);

impl<Q: Query> Query for Counted<Q> {
    type SqlType = BigInt;
}

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Counted<Q> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("SELECT count(*) FROM (");
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(") AS counted");
        Ok(())
    }
}

impl Window {
    /// Upper bound of the ids, exclusive.
    pub(crate) fn below(&self) -> uuid::Uuid {
        self.before.unwrap_or(uuid::Uuid::max())
    }

    /// Rows to fetch.
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// Removes the extra row.
    pub fn cut<T>(&self, mut rows: Vec<T>) -> Rows<T> {
        let limit = usize::try_from(self.limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        Rows {
            rows,
            more,
            total: None,
        }
    }

    /// Counts the rows of the list, up to [`MOST_COUNTED`], if that was asked for. `query` makes the query of a window.
    pub(crate) async fn total<Q>(
        &self,
        connection: &mut AsyncPgConnection,
        query: impl FnOnce(Self) -> Q,
    ) -> Result<Option<Total>>
    where
        Counted<Q>: LoadQuery<'static, AsyncPgConnection, i64> + Send + 'static,
    {
        if !self.count {
            return Ok(None);
        }
        let all = Self {
            limit: MOST_COUNTED,
            before: None,
            count: false,
        };
        let found: i64 = Counted(query(all)).get_result(connection).await?;
        Ok(Some(Total {
            value: found.min(MOST_COUNTED),
            exact: found <= MOST_COUNTED,
        }))
    }

    /// Takes rows as they arrive, up to the memory limit of a page. The first is taken whatever its size.
    pub(crate) async fn fill<T>(
        &self,
        arriving: impl Stream<Item = QueryResult<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Result<Rows<T>> {
        let mut arriving = std::pin::pin!(arriving);
        let (mut rows, mut taken) = (Vec::new(), 0);
        while let Some(row) = arriving.next().await {
            let row = row?;
            taken += bytes(&row);
            if taken > MOST_BYTES && !rows.is_empty() {
                return Ok(Rows {
                    rows,
                    more: true,
                    total: None,
                });
            }
            rows.push(row);
        }
        Ok(self.cut(rows))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    async fn fill(limit: i64, sizes: &[usize]) -> (usize, bool) {
        let window = Window {
            limit,
            before: None,
            count: false,
        };
        let arriving = stream::iter(sizes.iter().copied().map(Ok));
        let Rows { rows, more, .. } = window.fill(arriving, |size| *size).await.unwrap();
        (rows.len(), more)
    }

    #[tokio::test]
    async fn a_page_ends_at_its_limit_or_where_it_would_become_too_large() {
        let half = MOST_BYTES / 2;
        assert_eq!(fill(2, &[]).await, (0, false));
        assert_eq!(fill(2, &[1, 1]).await, (2, false));
        assert_eq!(fill(2, &[1, 1, 1]).await, (2, true));
        assert_eq!(fill(9, &[half, half]).await, (2, false));
        assert_eq!(fill(9, &[half, half, 1]).await, (2, true));
        assert_eq!(fill(9, &[MOST_BYTES + 1, 1]).await, (1, true));
        assert_eq!(fill(9, &[MOST_BYTES + 1]).await, (1, false));
    }
}
