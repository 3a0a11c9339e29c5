//! Semantic versions (semver.org 2.0.0) and a text that sorts as they do.

use semver::{Prerelease, Version};

/// Characters of a version.
pub const MAX_VERSION_CHARS: usize = 128;
/// Digits of the largest number that a version may hold, `u64::MAX`.
const DIGITS: usize = 20;

/// Parses a version, or says what is wrong with it.
pub fn parse_version(text: &str) -> Result<Version, String> {
    if text.len() > MAX_VERSION_CHARS {
        return Err(format!("has more than {MAX_VERSION_CHARS} characters"));
    }
    let version = Version::parse(text).map_err(|error| format!("is not a semantic version such as 1.0.0: {error}"))?;
    if identifiers(&version.pre).any(|part| is_numeric(part) && part.len() > DIGITS) {
        return Err(format!("has a number with more than {DIGITS} digits"));
    }
    Ok(version)
}

/// A text whose order, byte by byte (collate "C"), is the precedence of the version; build metadata does not count.
///
/// `1.2.3-rc.1` becomes its three numbers with 20 digits each, then `-`, then `1rc!0000…1!`: numeric identifiers begin
/// with 0, others with 1, and `!` sorts below every character of an identifier. A release has `~` in place of all that
/// and so comes after its pre-releases. The error says why the text is no version.
pub fn version_key(text: &str) -> Result<String, String> {
    let version = parse_version(text)?;
    let core = format!("{:020}.{:020}.{:020}", version.major, version.minor, version.patch);
    if version.pre.is_empty() {
        return Ok(format!("{core}~"));
    }
    let parts: String = identifiers(&version.pre).map(identifier_key).collect();
    Ok(format!("{core}-{parts}"))
}

fn identifiers(pre: &Prerelease) -> impl Iterator<Item = &str> {
    pre.as_str().split('.').filter(|part| !part.is_empty())
}

fn is_numeric(identifier: &str) -> bool {
    identifier.bytes().all(|byte| byte.is_ascii_digit())
}

fn identifier_key(identifier: &str) -> String {
    if is_numeric(identifier) { format!("0{identifier:0>DIGITS$}!") } else { format!("1{identifier}!") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn versions() -> impl Strategy<Value = String> {
        let number = prop_oneof![0..3u64, Just(10), any::<u64>()];
        let identifier = prop_oneof![
            any::<u64>().prop_map(|n| n.to_string()),
            (0..12u64).prop_map(|n| n.to_string()),
            "[a-c0-1A-]{0,3}[a-z-][a-c0-1A-]{0,2}",
        ];
        let pre = prop::collection::vec(identifier, 0..4);
        let build = prop::option::of("[a-z0-9]{1,3}");
        (number.clone(), number.clone(), number, pre, build).prop_map(|(major, minor, patch, pre, build)| {
            let dash = if pre.is_empty() { "" } else { "-" };
            let build = build.map(|build| format!("+{build}")).unwrap_or_default();
            format!("{major}.{minor}.{patch}{dash}{}{build}", pre.join("."))
        })
    }

    proptest! {
        #[test]
        fn keys_sort_as_semver_precedence(a in versions(), b in versions()) {
            let precedence = Version::parse(&a).unwrap().cmp_precedence(&Version::parse(&b).unwrap());
            prop_assert_eq!(version_key(&a).unwrap().cmp(&version_key(&b).unwrap()), precedence, "{} {}", a, b);
        }
    }

    #[test]
    fn the_example_of_the_specification_is_in_order() {
        let order = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11"];
        let keys = order.into_iter().chain(["1.0.0-rc.1", "1.0.0", "1.0.1", "1.10.0", "2.0.0"]).map(version_key);
        let keys: Vec<_> = keys.map(Result::unwrap).collect();
        assert!(keys.is_sorted());
    }

    #[test]
    fn build_metadata_does_not_count() {
        assert_eq!(version_key("1.0.0+a"), version_key("1.0.0+b"));
    }

    #[test]
    fn a_text_that_is_no_version_is_refused() {
        for text in ["", "1", "1.0", "v1.0.0", "01.0.0", "1.0.0-01", "1.0.0 ", "1.0.99999999999999999999"] {
            assert!(version_key(text).is_err(), "{text}");
        }
        assert!(version_key(&format!("1.0.0-{}", "9".repeat(DIGITS + 1))).is_err());
        assert!(version_key(&format!("1.0.0-{}", "a".repeat(MAX_VERSION_CHARS))).is_err());
    }
}
