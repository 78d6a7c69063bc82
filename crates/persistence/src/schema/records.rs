//! Tables of sessions and calls, with the configuration that they run.

diesel::table! {
    configurations (tenant_id, digest) {
        tenant_id -> Uuid,
        digest -> Text,
        document -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    sessions (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        agent_id -> Uuid,
        binding_id -> Uuid,
        configuration_digest -> Text,
        worker_name -> Text,
        state -> Text,
        end_reason -> Nullable<Text>,
        error_detail -> Nullable<Text>,
        last_error -> Nullable<Text>,
        room_name -> Text,
        room_sid -> Nullable<Text>,
        variables -> Jsonb,
        metadata -> Jsonb,
        rendered_prompt -> Text,
        rendered_greeting -> Nullable<Text>,
        max_duration_seconds -> Integer,
        revision -> BigInt,
        created_at -> Timestamptz,
        starting_at -> Nullable<Timestamptz>,
        dispatched_at -> Nullable<Timestamptz>,
        running_at -> Nullable<Timestamptz>,
        stopping_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        room_missing_since -> Nullable<Timestamptz>,
        room_deleted_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    agent_runs (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        configuration_digest -> Text,
        is_primary -> Bool,
        attempt -> Integer,
        state -> Text,
        dispatch_id -> Nullable<Text>,
        participant_sid -> Nullable<Text>,
        participant_identity -> Nullable<Text>,
        created_at -> Timestamptz,
        dispatched_at -> Nullable<Timestamptz>,
        joined_at -> Nullable<Timestamptz>,
        left_at -> Nullable<Timestamptz>,
        missing_since -> Nullable<Timestamptz>,
        agent_id -> Nullable<Uuid>,
        worker_name -> Nullable<Text>,
        rendered_prompt -> Nullable<Text>,
        rendered_greeting -> Nullable<Text>,
        dispatches -> Integer,
        last_dispatched_at -> Nullable<Timestamptz>,
        taken_at -> Nullable<Timestamptz>,
        error_detail -> Nullable<Text>,
    }
}

diesel::table! {
    participants (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        sid -> Nullable<Text>,
        identity -> Text,
        name -> Text,
        kind -> Text,
        joined_at -> Nullable<Timestamptz>,
        left_at -> Nullable<Timestamptz>,
        disconnect_reason -> Nullable<Text>,
        invited_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    session_events (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        at -> Timestamptz,
        kind -> Text,
        facts -> Jsonb,
    }
}

diesel::table! {
    calls (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        agent_id -> Uuid,
        direction -> Text,
        is_primary -> Bool,
        state -> Text,
        reason -> Nullable<Text>,
        hangup_by -> Nullable<Text>,
        sip_status -> Nullable<Integer>,
        detail -> Nullable<Text>,
        from_number -> Nullable<Text>,
        to_number -> Nullable<Text>,
        trunk_id -> Nullable<Uuid>,
        mapping_id -> Nullable<Uuid>,
        identity -> Text,
        sip_call_id -> Nullable<Text>,
        ring_timeout_seconds -> Integer,
        max_duration_seconds -> Integer,
        answer_detection -> Text,
        revision -> BigInt,
        created_at -> Timestamptz,
        dialing_at -> Nullable<Timestamptz>,
        sent_at -> Nullable<Timestamptz>,
        awaited_until -> Nullable<Timestamptz>,
        ringing_at -> Nullable<Timestamptz>,
        answered_at -> Nullable<Timestamptz>,
        ended_at -> Nullable<Timestamptz>,
        left_reason -> Nullable<Text>,
        missing_since -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    transcript_turns (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        turn_id -> Text,
        role -> Text,
        text -> Text,
        started_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        interrupted -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    usage_records (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        session_id -> Uuid,
        batch_id -> Text,
        position -> Integer,
        kind -> Text,
        provider -> Text,
        model -> Text,
        input_tokens -> BigInt,
        output_tokens -> BigInt,
        audio_seconds -> Double,
        characters -> BigInt,
        created_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(agent_runs, sessions, configurations, participants);
