//! The operator's and the workers' key. Each may have two values, so that it can be rotated without an outage:
//! add the new value, switch its users over, and remove the old value.

use patchbay_service::settings::Secret;

/// Minimum length: shorter keys could be guessed.
const MIN_LENGTH: usize = 32;

/// Checks both settings. Messages do not contain the keys.
pub(super) fn check(operator: &[Secret], worker: &[Secret]) -> Result<(), String> {
    for (name, keys) in [
        ("PATCHBAY_OPERATOR_KEY", operator),
        ("PATCHBAY_WORKER_KEY", worker),
    ] {
        let fault = find_fault(keys);
        fault.map_or(Ok(()), |fault| Err(format!("{name}: {fault}")))?;
    }
    let is_shared = |key: &Secret| worker.iter().any(|other| other.reveal() == key.reveal());
    if operator.iter().any(is_shared) {
        let fault = "PATCHBAY_WORKER_KEY: a key is also in PATCHBAY_OPERATOR_KEY";
        return Err(fault.to_owned());
    }
    Ok(())
}

fn find_fault(keys: &[Secret]) -> Option<&'static str> {
    let keys: Vec<_> = keys.iter().map(Secret::reveal).collect();
    // Characters that a header cannot contain would never match.
    let is_plain = |key: &&str| key.bytes().all(|byte| byte.is_ascii_graphic());
    match keys[..] {
        _ if keys.len() > 2 => Some("one or two comma-separated keys are required"),
        [one, other] if one == other => Some("the two keys are the same"),
        _ if !keys.iter().all(is_plain) => Some("only visible ASCII characters are allowed"),
        _ if keys.iter().any(|key| key.len() < MIN_LENGTH) => {
            Some("each key needs at least 32 characters")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<Secret> {
        text.split(',').map(|key| key.parse().unwrap()).collect()
    }

    #[test]
    fn one_or_two_valid_keys_are_accepted() {
        let (a, b, c) = ("a".repeat(32), "b".repeat(32), "c".repeat(40));
        let good = [keys(&a), keys(&format!("{a},{b}")), Vec::new()];
        for operator in good {
            assert_eq!(check(&operator, &keys(&c)), Ok(()));
            assert_eq!(check(&keys(&c), &operator), Ok(()));
        }
        for wrong in [
            String::new(),
            "a".repeat(31),
            format!("{a},"),
            format!(",{a}"),
            format!("{a},{a}"),
            format!("{a}, {b}"),
            format!("{a},short"),
            format!("{a},{b},{c}"),
            "\u{e9}".repeat(32),
        ] {
            for (operator, worker, named) in [
                (keys(&wrong), Vec::new(), "PATCHBAY_OPERATOR_KEY: "),
                (Vec::new(), keys(&wrong), "PATCHBAY_WORKER_KEY: "),
            ] {
                let fault = check(&operator, &worker).unwrap_err();
                assert!(fault.starts_with(named), "{wrong}: {fault}");
                for key in [&a, &b, &c] {
                    assert!(!fault.contains(&**key), "the message contains a key");
                }
            }
        }
        let shared = check(&keys(&format!("{a},{b}")), &keys(&b)).unwrap_err();
        assert!(shared.starts_with("PATCHBAY_WORKER_KEY: "), "{shared}");
    }
}
