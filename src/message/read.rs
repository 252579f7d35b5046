//! Reads JSON text into a type. An error names the field, never a value.

use std::fmt;

use serde::de::DeserializeOwned;

/// Why a text is not a value of the type asked for.
#[derive(Debug)]
pub(crate) struct Fault {
    line: usize,
    column: usize,
    /// The field at fault, such as `statusHistory[0].timestamp`. `None` if no single field is.
    pub(crate) path: Option<String>,
    what: &'static str,
}

const MISSING: &str = "missing field `";
const TWICE: &str = "duplicate field `";

/// Reads a text. The field at fault is searched for only after a failure.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|error| Fault::of::<T>(text, &error))
}

impl Fault {
    /// NOTE: the message of a `serde_json::Error` may quote a value. So only the name of a field that is
    /// missing or comes twice is taken from the message.
    #[cold]
    fn of<T: DeserializeOwned>(text: &str, error: &serde_json::Error) -> Self {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let found = serde_path_to_error::deserialize::<_, T>(&mut deserializer).err();
        let mut path = found
            .map(|found| found.path().clone())
            .filter(|path| path.iter().len() > 0)
            .map(|path| path.to_string());
        let message = error.to_string();
        let named = |start| message.strip_prefix(start)?.split_once('`').map(|(name, _)| name);
        let (name, what) = match (named(MISSING), named(TWICE)) {
            (Some(name), _) => (Some(name), "is missing"),
            (None, Some(name)) => (Some(name), "comes twice"),
            (None, None) => (None, "is not of the type expected"),
        };
        if let Some(name) = name.filter(|name| is_name(name) && !is_value(text, name)) {
            path = Some(path.map_or(name.to_owned(), |parent| format!("{parent}.{name}")));
        }
        Self { line: error.line(), column: error.column(), path, what }
    }
}

fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_SHOWN
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-$".contains(&byte))
}

/// Whether `name` is a string value in the text, and not only the name of a field. The caller's own type may
/// put any value into its error.
fn is_value(text: &str, name: &str) -> bool {
    let quoted = format!("\"{name}\"");
    text.match_indices(&quoted).any(|(at, _)| {
        !text.get(at + quoted.len()..).is_some_and(|rest| rest.trim_start().starts_with(':'))
    })
}

/// The longest path, in characters, that an error shows. A message's own names can have any length.
const LONGEST_SHOWN: usize = 100;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.line, self.column);
        match &self.path {
            Some(path) => {
                let shown: String = path.chars().take(LONGEST_SHOWN).collect();
                let dots = if shown.len() < path.len() { "…" } else { "" };
                write!(f, "`{}{dots}` {}", shown.escape_debug(), self.what)?;
            }
            None => {
                f.write_str("a field is missing, comes twice or is not of the type expected")?;
            }
        }
        // Where serde reads a value twice, as for a tagged enum, nothing tells where it stood in the text.
        if line > 0 {
            write!(f, ", at line {line} column {column}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::{Fault, read};
    use crate::message::Message;

    fn fault<T: serde::de::DeserializeOwned + std::fmt::Debug>(text: &str) -> Fault {
        read::<T>(text).unwrap_err()
    }

    #[test]
    fn the_field_of_a_message_is_named() {
        for (field, path) in [
            (r#""text":7"#, "text"),
            (
                r#""statusHistory":[{"status":1},{"timestamp":"secret"}]"#,
                "statusHistory[1].timestamp",
            ),
            (r#""list":{"sections":[{"rows":[{"title":[]}]}]}"#, "list.sections[0].rows[0].title"),
            (r#""metadata":"secret""#, "metadata"),
            (r#""contacts":["secret"]"#, "contacts[0]"),
            (r#""te\u0078t":{"secret":1}"#, "text"),
            (r#""text":"a","text":"b""#, "text"),
            (r#""postback":{"title":"a","title":"b"}"#, "postback.title"),
        ] {
            let text =
                format!(r#"{{"_id":"a1","timestamp":5,"unheard":{{"of":["secret"]}},{field}}}"#);
            let fault = fault::<Message>(&text);
            assert_eq!(fault.path.as_deref(), Some(path), "{text}");
            let shown = fault.to_string();
            assert!(shown.starts_with(&format!("`{path}` ")), "{shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Own {
        text: String,
        #[serde(default)]
        parts: Vec<Part>,
        #[serde(default)]
        counts: HashMap<String, u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    #[allow(dead_code)]
    struct Part {
        file_id: String,
    }

    #[test]
    fn so_is_that_of_the_caller_s_own_type() {
        for (text, path, shown) in [
            (r#"{"type":"media"}"#, Some("text"), "`text` is missing, at line 1 column 16"),
            (
                r#"{"text":1}"#,
                Some("text"),
                "`text` is not of the type expected, at line 1 column 9",
            ),
            (
                r#"{"text":"","parts":[{"fileId":""},{}]}"#,
                Some("parts[1].fileId"),
                "`parts[1].fileId` is missing, at line 1 column 36",
            ),
            (
                r#"{"text":"","counts":{"a\nb":-1}}"#,
                Some("counts.a\nb"),
                r"`counts.a\nb` is not of",
            ),
            (r#""text""#, None, "a field is missing, comes twice or is not of the type expected"),
        ] {
            let fault = fault::<Own>(text);
            assert_eq!(fault.path.as_deref(), path, "{text}");
            assert!(fault.to_string().starts_with(shown), "{text}: {fault}");
        }
    }

    #[test]
    fn a_name_of_any_length_is_shown_in_part() {
        let name = "é".repeat(10_000);
        let fault = fault::<Own>(&format!(r#"{{"text":"","counts":{{"{name}":-1}}}}"#));
        assert!(fault.to_string().chars().count() < 200, "{fault}");
        assert_eq!(fault.path.unwrap(), format!("counts.{name}"));
    }

    #[test]
    fn a_value_that_the_caller_s_type_quotes_is_not_shown() {
        #[derive(Debug)]
        struct Quoting;
        impl<'de> Deserialize<'de> for Quoting {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let map = HashMap::<String, String>::deserialize(deserializer)?;
                let quoted: String =
                    map.values().flat_map(|value| value.chars()).take(12).collect();
                Err(serde::de::Error::custom(format!("missing field `{quoted}`")))
            }
        }
        for secret in ["secret", "secret words and more"] {
            let fault = fault::<Quoting>(&format!(r#"{{"text":"{secret}"}}"#));
            assert!(!fault.to_string().contains("secret"), "{fault}");
            assert_eq!(fault.path, None);
        }
    }
}
