//! Lookup tables of background work: they are read before the tenant is known.

diesel::table! {
    rooms (name) {
        name -> Text,
        tenant_id -> Uuid,
        session_id -> Uuid,
    }
}

diesel::table! {
    webhook_events (id) {
        id -> Text,
        received_at -> Timestamptz,
        payload -> Jsonb,
        next_try_at -> Timestamptz,
        applied_at -> Nullable<Timestamptz>,
        crashes -> Integer,
        room -> Text,
        claimed_until -> Nullable<Timestamptz>,
        attempts -> Integer,
    }
}

diesel::table! {
    jobs (kind, subject_id) {
        kind -> Text,
        subject_id -> Uuid,
        tenant_id -> Nullable<Uuid>,
        run_at -> Timestamptz,
        attempts -> Integer,
        generation -> BigInt,
        claimed_until -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
        dead_at -> Nullable<Timestamptz>,
        crashes -> Integer,
        id -> Uuid,
        claim -> Nullable<Uuid>,
        traceparent -> Nullable<Text>,
    }
}

diesel::table! {
    workers (id) {
        id -> Text,
        row_id -> Uuid,
        worker_name -> Text,
        version -> Text,
        kinds -> Array<Text>,
        plugins -> Jsonb,
        capacity -> Integer,
        running -> Integer,
        is_draining -> Bool,
        registered_at -> Timestamptz,
        seen_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(webhook_events, rooms);
