//! Metrics of a tenant, counted from the rows.

use chrono::{DateTime, Utc};
use patchbay_domain::{
    Invalid, TenantId,
    buckets::{self, Bucket, MOST},
};
use patchbay_persistence::metrics::{
    self, CallKinds, Calls, Key, Knowledge, Peak, SessionKinds, Sessions, Span, ToolCalls, Usage,
};

use crate::{Error, Result, Service};

/// What was counted, each with the number of its bucket.
#[expect(missing_docs, reason = "the names are those of the rows")]
pub struct Figures {
    pub calls: Vec<Calls>,
    pub call_kinds: Vec<CallKinds>,
    pub peaks: Vec<Peak>,
    pub sessions: Vec<Sessions>,
    pub session_kinds: Vec<SessionKinds>,
    pub usage: Vec<Usage>,
    pub tool_calls: Vec<ToolCalls>,
    pub knowledge: Vec<Knowledge>,
}

/// The buckets between two times, whose hours and days are those of a time zone.
pub fn span(
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    bucket: Bucket,
    zone: &str,
) -> Result<Span> {
    let zone = zone.parse().map_err(|_| {
        let message = "must be the name of an IANA time zone, such as `Europe/Berlin`";
        Error::invalid_at("/time_zone", Invalid::new("unknown_time_zone", message))
    })?;
    if from >= to {
        let invalid = Invalid::new("out_of_range", "`from` must be before `to`");
        return Err(Error::invalid_at("/from", invalid));
    }
    let starts = buckets::starts((from, to), bucket, zone).ok_or_else(|| {
        let message =
            format!("more than {MOST} buckets: choose a shorter time range or longer buckets");
        Error::invalid_at("/from", Invalid::new("too_many_buckets", message))
    })?;
    Ok(Span { from, to, starts })
}

/// Queries the metrics of all buckets, on two connections in parallel.
pub async fn query(
    service: &Service,
    tenant: TenantId,
    span: &Span,
    key: Option<Key>,
) -> Result<Figures> {
    let calls = async {
        let mut tx = service.db.begin(tenant).await?;
        metrics::tune(&mut tx).await?;
        let calls = metrics::calls(&mut tx, span, key).await?;
        let kinds = metrics::call_kinds(&mut tx, span).await?;
        tx.finish();
        Ok::<_, Error>((calls, kinds))
    };
    let rest = async {
        let mut tx = service.db.begin(tenant).await?;
        metrics::tune(&mut tx).await?;
        let rest = Figures {
            calls: Vec::new(),
            call_kinds: Vec::new(),
            peaks: metrics::peaks(&mut tx, span).await?,
            sessions: metrics::sessions(&mut tx, span, key).await?,
            session_kinds: metrics::session_kinds(&mut tx, span).await?,
            usage: metrics::usage(&mut tx, span).await?,
            tool_calls: metrics::tool_calls(&mut tx, span).await?,
            knowledge: metrics::knowledge(&mut tx, span).await?,
        };
        tx.finish();
        Ok(rest)
    };
    let ((calls, call_kinds), rest) = futures_util::future::try_join(calls, rest).await?;
    Ok(Figures {
        calls,
        call_kinds,
        ..rest
    })
}
