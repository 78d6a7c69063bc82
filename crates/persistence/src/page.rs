//! Pagination.

use diesel::QueryResult;
use futures_util::{Stream, StreamExt as _};

use crate::Result;

/// Bytes of large columns at which a page ends early, whatever its limit.
const MOST_BYTES: usize = 4 << 20;

/// Position and limit of a page, newest first.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Limit, 1 to 100. One more row is fetched to find out whether there is a next page.
    pub limit: i64,
    /// The last id of the previous page.
    pub before: Option<uuid::Uuid>,
}

/// The rows of a page.
#[derive(Debug)]
pub struct Rows<T> {
    /// At most the limit, or as many as fit.
    pub rows: Vec<T>,
    /// Whether there is a next page.
    pub more: bool,
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
        Rows { rows, more }
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
