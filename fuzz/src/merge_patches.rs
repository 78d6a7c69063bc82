//! Merge patches (RFC 7396) of metadata.

use arbitrary::{Result, Unstructured};
use patchbay_domain::Metadata;
use serde_json::{Map, Value};

use crate::input::{halves, object};

/// An object and a patch. From any bytes, and as two lines of JSON.
pub fn target(data: &[u8]) {
    let (before, patch) = halves(data);
    if let (Ok(before), Ok(patch)) = (
        serde_json::from_slice(before),
        serde_json::from_slice(patch),
    ) {
        check(&before, &patch);
    }
    let _ = run(&mut Unstructured::new(data));
}

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let (before, patch) = (object(u, 4)?, object(u, 4)?);
    if let (Ok(before), Ok(patch)) = (Metadata::new(before), Metadata::new(patch)) {
        check(&before, &patch);
    }
    Ok(())
}

fn check(before: &Metadata, patch: &Metadata) {
    let plain = |metadata: &Metadata| metadata.value().expect("metadata is JSON");
    let expected = merged(plain(before), plain(patch));
    let Ok(after) = before.merged(Some(patch.clone())) else {
        assert!(
            Metadata::try_from(expected).is_err(),
            "refused, and small enough"
        );
        return;
    };
    assert_eq!(plain(&after), expected, "{before:?} with {patch:?}");
    assert_eq!(
        after.merged(Some(patch.clone())).as_ref(),
        Ok(&after),
        "twice is once"
    );
    assert_eq!(
        after.merged(Some(Metadata::default())).as_ref(),
        Ok(&after),
        "nothing changes nothing"
    );
    assert_eq!(after.merged(None), Ok(Metadata::default()), "null clears");
    let stored = serde_json::to_string(&after).expect("is JSON");
    assert_eq!(
        serde_json::from_str::<Metadata>(&stored).expect("is read back"),
        after
    );
}

/// The pseudocode of the RFC.
fn merged(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    let mut fields = match target {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for (name, value) in patch {
        let before = fields.remove(&name);
        if !value.is_null() {
            let after = merged(before.unwrap_or(Value::Null), value);
            fields.insert(name, after);
        }
    }
    Value::Object(fields)
}
