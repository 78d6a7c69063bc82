//! A page of a list: where it begins, and where it ends.

use diesel::QueryResult;
use futures_util::{Stream, StreamExt as _};

use crate::Result;

/// Bytes of large columns at which a page ends, however many rows were asked for.
const MOST_BYTES: usize = 4 << 20;

/// Where a list begins and how much of it is wanted, newest first.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Rows wanted, 1 to 100. One more is fetched, to know whether there is a next page.
    pub limit: i64,
    /// The last id of the page before.
    pub before: Option<uuid::Uuid>,
}

/// The rows of a page.
#[derive(Debug)]
pub struct Rows<T> {
    /// As many as were wanted, or as fit.
    pub rows: Vec<T>,
    /// Whether there are more behind them.
    pub more: bool,
}

impl Window {
    /// Ids below this one are wanted.
    pub(crate) fn below(&self) -> uuid::Uuid {
        self.before.unwrap_or(uuid::Uuid::max())
    }

    /// Rows to fetch.
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// Cuts off the row that was fetched to know whether there are more.
    pub fn cut<T>(&self, mut rows: Vec<T>) -> Rows<T> {
        let limit = usize::try_from(self.limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        Rows { rows, more }
    }

    /// Takes rows as they arrive, and none that would make the page larger than what is held in memory
    /// for one request. The first is taken however large it is.
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
                return Ok(Rows { rows, more: true });
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
        };
        let arriving = stream::iter(sizes.iter().copied().map(Ok));
        let Rows { rows, more } = window.fill(arriving, |size| *size).await.unwrap();
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
