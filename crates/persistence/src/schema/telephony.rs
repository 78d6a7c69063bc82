//! Tables of phone numbers and of what is synchronised with LiveKit's SIP service.

diesel::table! {
    phone_numbers (number) {
        number -> Text,
        id -> Uuid,
        tenant_id -> Uuid,
        assigned_at -> Timestamptz,
    }
}

diesel::table! {
    sip_objects (id) {
        id -> Uuid,
        tenant_id -> Uuid,
        kind -> Text,
        trunk_sid -> Nullable<Text>,
        rule_sid -> Nullable<Text>,
        sync_state -> Text,
        error -> Nullable<Text>,
        attempts -> Integer,
        synced_at -> Nullable<Timestamptz>,
        revision -> BigInt,
        synced_name -> Nullable<Text>,
    }
}

diesel::table! {
    sip_trunks (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        name -> Text,
        address -> Text,
        transport -> Text,
        numbers -> Array<Text>,
        username -> Nullable<Text>,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    inbound_mappings (tenant_id, id) {
        tenant_id -> Uuid,
        id -> Uuid,
        number -> Text,
        agent_id -> Uuid,
        closed_agent_id -> Nullable<Uuid>,
        worker_name -> Text,
        variables -> Jsonb,
        allowed_addresses -> Array<Text>,
        username -> Nullable<Text>,
        enabled -> Bool,
        hours -> Nullable<Jsonb>,
        headers -> Array<Text>,
        revision -> BigInt,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(sip_objects, sip_trunks, inbound_mappings);
