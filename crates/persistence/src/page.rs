//! Pagination.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    QueryResult,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::BigInt,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, methods::LoadQuery};
use futures_util::{Stream, StreamExt as _};
use uuid::Uuid;

use crate::Result;

/// How far the time in an id may be from the time that is stored beside it. One request makes both, but ids do not go
/// back in time with a clock that is set back.
const ID_TOLERANCE: TimeDelta = TimeDelta::days(1);
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
    pub before: Option<Uuid>,
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
    pub(crate) fn below(&self) -> Uuid {
        self.before.unwrap_or(Uuid::max())
    }

    /// The same for rows from before `to`.
    pub(crate) fn below_and_until(&self, to: Option<DateTime<Utc>>) -> Uuid {
        let until = to.and_then(|to| to.checked_add_signed(ID_TOLERANCE));
        let until = until.map_or(Uuid::max(), first_id);
        self.below().min(until)
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

/// Lower bound of the ids of rows that are not older than this. A list of one day begins and ends in the key there,
/// rather than walk over all newer rows.
pub(crate) fn ids_from(from: DateTime<Utc>) -> Uuid {
    let from = from.checked_sub_signed(ID_TOLERANCE);
    from.map_or(Uuid::nil(), first_id)
}

/// The lowest UUIDv7 of a millisecond.
pub(crate) fn first_id(time: DateTime<Utc>) -> Uuid {
    const LAST: i64 = (1 << 48) - 1;
    let millis = time.timestamp_millis().clamp(0, LAST);
    Uuid::from_u128(u128::from(millis.unsigned_abs()) << 80)
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

    #[test]
    fn a_span_of_time_is_a_span_of_ids() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let made = at("2026-08-27T12:00:00.123Z");
        let seconds = u64::try_from(made.timestamp()).unwrap();
        let stamp = uuid::Timestamp::from_unix(uuid::NoContext, seconds, 123_000_000);
        let id = Uuid::new_v7(stamp);
        assert!(first_id(made) < id && id < first_id(made + TimeDelta::milliseconds(1)));
        assert!(ids_from(made) < id);
        let window = |before| Window {
            limit: 20,
            before,
            count: false,
        };
        assert!(id < window(None).below_and_until(Some(made)));
        assert!(window(None).below_and_until(Some(made - TimeDelta::days(2))) < id);
        assert_eq!(window(Some(id)).below_and_until(Some(made)), id);
        assert_eq!(window(None).below_and_until(None), Uuid::max());
        for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            assert!(ids_from(time) <= window(None).below_and_until(Some(time)));
        }
    }
}
