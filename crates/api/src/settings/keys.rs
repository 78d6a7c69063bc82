//! The installation's own keys. Each may be two, so that it can be changed without an outage: the new
//! one is put beside the old one, whoever uses it is given the new one, and the old one is taken away.

use patchbay_service::settings::Secret;

/// Fewer characters could be guessed.
const LEAST: usize = 32;

/// Checks both. Faults are told without the key in them.
pub(super) fn check(operator: &[Secret], worker: &[Secret]) -> Result<(), String> {
    for (name, keys) in [
        ("PATCHBAY_OPERATOR_KEY", operator),
        ("PATCHBAY_WORKER_KEY", worker),
    ] {
        let fault = fault(keys);
        fault.map_or(Ok(()), |fault| Err(format!("{name}: {fault}")))?;
    }
    let is_shared = |key: &Secret| worker.iter().any(|other| other.reveal() == key.reveal());
    if operator.iter().any(is_shared) {
        let fault = "PATCHBAY_WORKER_KEY: a key is also in PATCHBAY_OPERATOR_KEY";
        return Err(fault.to_owned());
    }
    Ok(())
}

fn fault(keys: &[Secret]) -> Option<&'static str> {
    let keys: Vec<_> = keys.iter().map(Secret::reveal).collect();
    // What a header cannot carry would never match.
    let is_plain = |key: &&str| key.bytes().all(|byte| byte.is_ascii_graphic());
    match keys[..] {
        _ if keys.len() > 2 => Some("one key is needed, or two, comma-separated"),
        [one, other] if one == other => Some("the two keys are the same"),
        _ if !keys.iter().all(is_plain) => {
            Some("letters, digits and signs of ASCII are allowed, without blanks")
        }
        _ if keys.iter().any(|key| key.len() < LEAST) => {
            Some("at least 32 characters are needed, of each key")
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
    fn one_or_two_good_keys_are_taken() {
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
                    assert!(!fault.contains(&**key), "a key is told");
                }
            }
        }
        let shared = check(&keys(&format!("{a},{b}")), &keys(&b)).unwrap_err();
        assert!(shared.starts_with("PATCHBAY_WORKER_KEY: "), "{shared}");
    }
}
