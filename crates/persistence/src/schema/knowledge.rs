//! Tables of files, ingests and chunks.

diesel::table! {
    objects (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        state -> Text,
        upload_id -> Nullable<Text>,
        sha256 -> Nullable<Binary>,
        size -> BigInt,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    files (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        object_id -> Uuid,
        name -> Text,
        media_type -> Text,
        size -> BigInt,
        sha256 -> Binary,
        metadata -> Jsonb,
        last_generation -> Integer,
        searchable_generation -> Nullable<Integer>,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    ingests (tenant_id, file_id, generation) {
        tenant_id -> Uuid,
        file_id -> Uuid,
        generation -> Integer,
        state -> Text,
        stage -> Nullable<Text>,
        stages -> Jsonb,
        settings -> Text,
        model -> Text,
        pages -> Nullable<Integer>,
        chunks -> Nullable<Integer>,
        error_code -> Nullable<Text>,
        error -> Nullable<Text>,
        attempts -> Integer,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    chunks (tenant_id, file_id, generation, ordinal) {
        tenant_id -> Uuid,
        file_id -> Uuid,
        generation -> Integer,
        ordinal -> Integer,
        page -> Nullable<Integer>,
        headings -> Array<Text>,
        starts_at -> Integer,
        ends_at -> Integer,
        tokens -> Integer,
        model -> Text,
        text -> Text,
    }
}

diesel::table! {
    knowledge_usage (tenant_id, at) {
        tenant_id -> Uuid,
        at -> Timestamptz,
        searches -> BigInt,
        embedding_seconds -> Double,
    }
}

diesel::table! {
    agent_files (tenant_id, agent_id, file_id) {
        tenant_id -> Uuid,
        agent_id -> Uuid,
        file_id -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(files, ingests, agent_files);
