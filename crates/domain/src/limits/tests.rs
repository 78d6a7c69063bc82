use serde_json::{Value, json};

use super::*;
use crate::phone::{Dialled, PhoneNumber, TransferTarget};

#[test]
fn limits_that_cannot_be_read_are_no_limits_of_the_installation() {
    let stored = |value: Value| TenantLimits::from_stored(value).map_err(|e| e.message);
    assert_eq!(stored(json!({})), Ok(TenantLimits::default()));
    assert_eq!(
        stored(json!({ "of_a_later_version": 1 })),
        stored(json!({}))
    );
    let denied = stored(json!({ "denied_prefixes": ["+882"], "concurrent_calls": 2 })).unwrap();
    assert_eq!(denied.concurrent_calls, Some(2));
    assert_eq!(denied.denied_prefixes, Some(vec!["+882".to_owned()]));
    for wrong in [
        Value::Null,
        json!("x"),
        json!([]),
        json!([6000]),
        json!({ "denied_prefixes": "+882" }),
        json!({ "denied_prefixes": ["+882", 7] }),
        json!({ "denied_prefixes": ["882"] }),
        json!({ "allowed_prefixes": [""] }),
        json!({ "concurrent_calls": 0 }),
        json!({ "concurrent_calls": -1 }),
        json!({ "concurrent_calls": "2" }),
        json!({ "concurrent_sessions": 1.5 }),
        json!({ "max_call_seconds": 4_294_967_296_u64 }),
    ] {
        assert!(stored(wrong.clone()).is_err(), "{wrong}");
    }
}

fn limits(allowed: Option<&[&str]>, denied: Option<&[&str]>) -> TenantLimits {
    let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect();
    TenantLimits {
        allowed_prefixes: allowed.map(owned),
        denied_prefixes: denied.map(owned),
        ..TenantLimits::default()
    }
}

#[test]
fn prefixes_allow_and_deny() {
    let number: Dialled = "+4930123456".parse().unwrap();
    for (limits, refused) in [
        (limits(None, None), None),
        (limits(Some(&["+1", "+49"]), Some(&["+44"])), None),
        (limits(Some(&["0049"]), None), None),
        (limits(Some(&["+1"]), Some(&[])), Some("prefix_not_allowed")),
        (limits(Some(&[]), None), Some("prefix_not_allowed")),
        (
            limits(Some(&["+49"]), Some(&["+4930"])),
            Some("denied_prefix"),
        ),
        (limits(None, Some(&["+49 (0)30"])), Some("denied_prefix")),
    ] {
        let found = limits.check_number(&number).map_err(|e| e.code);
        assert_eq!(found.err().as_deref(), refused, "{limits:?}");
    }
}

/// What is dialled for a target, or the error code.
fn admitted(limits: &TenantLimits, target: &str) -> String {
    let home: PhoneNumber = "+4930111111".parse().unwrap();
    let target: TransferTarget = target.parse().unwrap();
    let admitted = limits.admit(target, Some(&home));
    admitted.map_or_else(|e| e.code, |target| target.to_string())
}

#[test]
fn under_prefixes_a_target_is_a_number_of_the_world() {
    let denied = limits(None, Some(&["+882", "+49900", "+44"]));
    for (target, outcome) in [
        ("+49 30 123456", "tel:+4930123456"),
        (
            "sip:+4930123456@pbx.example.org",
            "sip:+4930123456@pbx.example.org",
        ),
        (
            "sip:0049-30-123456@pbx.example.org",
            "sip:+4930123456@pbx.example.org",
        ),
        (
            "sip:030123456@pbx.example.org",
            "sip:+4930123456@pbx.example.org",
        ),
        (
            "sip:+12745550123@pbx.example.org",
            "sip:+12745550123@pbx.example.org",
        ),
        (
            "sip:030123456;phone-context=+49@pbx.example.org",
            "sip:+4930123456@pbx.example.org",
        ),
        ("sip:+88213123456@pbx.example.org", "denied_prefix"),
        ("sip:00882.13123456@pbx.example.org", "denied_prefix"),
        (
            "sip:%2B49900123456@pbx.example.org;user=phone",
            "denied_prefix",
        ),
        ("sip:+490900123456@pbx.example.org", "denied_prefix"),
        ("sip:09001123456@pbx.example.org", "denied_prefix"),
        (
            "sip:0900-1-123456;phone-context=+49@pbx.example.org",
            "denied_prefix",
        ),
        (
            "sip:01144-20-79460000;phone-context=+1@pbx.example.org",
            "denied_prefix",
        ),
        ("tel:09001123456;phone-context=+49", "denied_prefix"),
        ("tel:+49-900-1123456", "denied_prefix"),
        ("sip:desk@pbx.example.org", "number_not_international"),
        ("sip:100@pbx.example.org", "number_not_international"),
        ("sip:22000@pbx.example.org", "number_not_international"),
        (
            "sip:49900123456@pbx.example.org",
            "number_not_international",
        ),
        (
            "sip:+49*900123456@pbx.example.org",
            "number_not_international",
        ),
        (
            "sip:+49+900123456@pbx.example.org",
            "number_not_international",
        ),
        (
            "sip:+99999999999@pbx.example.org",
            "number_not_international",
        ),
    ] {
        assert_eq!(admitted(&denied, target), outcome, "{target}");
    }
    // What a switch may take for an international call.
    for hidden in [
        "+101188213123456",
        "+440088213123456",
        "+4400088213123",
        "+390088213123456",
        "+11900123456789",
    ] {
        let target = format!("sip:{hidden}@pbx.example.org");
        let everywhere = limits(Some(&["+1", "+44", "+49", "+39", "+36"]), Some(&["+882"]));
        assert_eq!(
            admitted(&everywhere, &target),
            "number_not_international",
            "{hidden}"
        );
    }
    let premium = limits(None, Some(&["+1900", "+1 (1) 976"]));
    for target in ["sip:+119001234567@x.example", "sip:+19761234567@x.example"] {
        assert_eq!(admitted(&premium, target), "denied_prefix", "{target}");
    }
    let allowed = limits(Some(&["+49", "+1"]), None);
    assert_eq!(
        admitted(&allowed, "sip:+4420794600@x.example"),
        "prefix_not_allowed"
    );
    assert_eq!(
        admitted(&allowed, "sip:desk@x.example"),
        "number_not_international"
    );
}

#[test]
fn without_prefixes_a_user_is_left_alone() {
    for free in [limits(None, None), limits(None, Some(&[]))] {
        for same in ["desk", "100", "030123456", "0049900123456", "a_b"] {
            let target = format!("sip:{same}@pbx.example.org");
            assert_eq!(admitted(&free, &target), target);
        }
    }
}

#[test]
fn help_is_the_operators_to_allow() {
    let numbers = limits(Some(&["+49"]), None);
    let allows = TenantLimits {
        emergency_calls: Some(true),
        ..numbers.clone()
    };
    for target in [
        "112",
        "+49112",
        "tel:911;phone-context=+1",
        "sip:911@pbx.example.org",
        "sip:9-1-1@pbx.example.org",
        "sip:%31%31%32@pbx.example.org",
        "sip:+49112@pbx.example.org",
        "sip:01149112@pbx.example.org",
        "sip:49112@pbx.example.org",
        "sip:1*1*2@pbx.example.org",
        "sip:144;phone-context=+41@pbx.example.org",
    ] {
        assert_eq!(
            admitted(&TenantLimits::default(), target),
            "emergency_number",
            "{target}"
        );
        assert_eq!(admitted(&numbers, target), "emergency_number", "{target}");
        assert_ne!(admitted(&allows, target), "emergency_number", "{target}");
    }
}
