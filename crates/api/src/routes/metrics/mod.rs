//! Metrics of a tenant.

mod buckets;
mod dto;

use chrono::{DateTime, TimeDelta, Utc};
use patchbay_domain::{buckets::Bucket, clock};
use patchbay_persistence::metrics::Key;
use patchbay_service::{Result, metrics as service};
use serde::Deserialize;
use utoipa::ToSchema;

use self::dto::{GroupBy, Metrics};
use crate::{
    extract::{Caller, Query, scopes::MetricsRead},
    openapi::{Doc, Tag},
    response::Entity,
    router::Api,
};

/// Query of metrics.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsQuery {
    /// Start of the time range, inclusive. By default 30 days before `to`, or one day for buckets of an hour.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    from: Option<DateTime<Utc>>,
    /// End of the time range, exclusive; now by default.
    #[serde(default, deserialize_with = "clock::read_optional_time")]
    to: Option<DateTime<Utc>>,
    /// Length of a bucket; `day` by default.
    #[schema(inline)]
    bucket: Option<Bucket>,
    /// Groups the sessions and calls of each bucket, as far as it applies to them, in addition to the totals.
    #[schema(inline)]
    group_by: Option<GroupBy>,
    /// Name of the IANA time zone in which hours and days are counted; `UTC` by default.
    #[schema(max_length = 64)]
    time_zone: Option<String>,
}

pub(super) fn routes(api: &mut Api) {
    let mut api = api.tag(Tag::Metrics);
    api.add(
        "/api/tenants/{tenant_id}/metrics",
        get,
        Doc::get("getMetrics", "Get metrics").about(
            "Returns metrics of sessions, calls, usage, tool calls, files and searches in buckets \
             of an hour or a day. Items are counted in the bucket in which they began. A response \
             has at most 1,000 buckets.",
        ),
    );
}

async fn get(caller: Caller<MetricsRead>, query: Query<MetricsQuery>) -> Result<Entity<Metrics>> {
    let Query(query) = query;
    let zone = query.time_zone.unwrap_or_else(|| "UTC".to_owned());
    let to = query.to.unwrap_or_else(|| caller.service.clock.now());
    let bucket = query.bucket.unwrap_or_default();
    let default_span = match bucket {
        Bucket::Hour => TimeDelta::days(1),
        Bucket::Day => TimeDelta::days(30),
    };
    let from = query.from.unwrap_or(to - default_span);
    let span = service::span((from, to), bucket, &zone)?;
    let key = query.group_by.map(Key::from);
    let found = service::query(&caller.service, caller.tenant()?, &span, key).await?;
    let buckets = buckets::fill(&span, found);
    Ok(Entity(Metrics {
        from: from.into(),
        to: to.into(),
        bucket,
        time_zone: zone,
        group_by: query.group_by,
        buckets,
    }))
}
