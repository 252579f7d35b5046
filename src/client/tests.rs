//! What a builder takes and refuses.

use super::*;
use crate::error::ErrorKind;
use crate::walk::Ask;

fn built(builder: ClientBuilder) -> Result<Client, Error> {
    builder.token("a-token").build()
}

fn base_of(client: &Client) -> &str {
    client.endpoint.base.as_str()
}

#[test]
fn a_project_stands_for_its_address() {
    let client = built(Client::builder().project("acme-2")).unwrap();
    assert_eq!(base_of(&client), "https://acme-2.texterchat.com/server/api/v2");
    for name in ["", "Acme", "a.b", "a/b", "evil.com#", "a b", "é", "a:b@c"] {
        let error = built(Client::builder().project(name)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{name}");
    }
}

#[test]
fn a_base_url_is_taken_with_and_without_its_slash() {
    let ask = Ask { limit: 50, cursor: None, bot_session: false };
    for url in [
        "https://host/api",
        "https://host/api/",
        "http://127.0.0.1:8080",
        "http://localhost/",
        "http://[::1]:1/x",
    ] {
        let client = built(Client::builder().base_url(url)).unwrap();
        let asked = client.endpoint.url("chat1", None, &ask);
        assert_eq!(
            asked.as_str(),
            format!("{}/messages/chat/chat1?limit=50", url.trim_end_matches('/'))
        );
    }
    for url in [
        "",
        "host",
        "ftp://host",
        "http://host",
        "http://127.0.0.1.evil.com",
        "https://u:p@host",
        "https://host/?a=b",
        "https://host/#x",
        "http://10.0.0.1",
        "data:text/plain,x",
    ] {
        let error = built(Client::builder().base_url(url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest, "{url}");
    }
}

#[test]
fn whatever_a_chat_id_holds_it_stays_one_segment_of_the_path() {
    let client = built(Client::builder().base_url("https://host/api")).unwrap();
    let ask = Ask { limit: 1, cursor: None, bot_session: true };
    let url = client.endpoint.url("a/b?c#d é", Some("s1"), &ask);
    assert_eq!(
        url.as_str(),
        "https://host/api/messages/chat/a%2Fb%3Fc%23d%20%C3%A9?limit=1&botSessionId=s1"
    );
}

#[test]
fn a_token_must_fit_a_header_and_is_never_shown() {
    let with = |token: &str| Client::builder().project("acme").token(token).build();
    for token in ["", "two words", "line\n", "ÿ", "tab\t", "nul\0"] {
        assert_eq!(with(token).unwrap_err().kind(), ErrorKind::InvalidRequest, "{token:?}");
    }
    let client = with("s3cret").unwrap();
    let builder = Client::builder().token("s3cret");
    assert!(!format!("{client:?} {builder:?} {:?}", client.endpoint).contains("s3cret"));
    assert!(Client::builder().project("acme").build().is_err());
}

#[test]
fn contradictions_and_zeros_are_refused() {
    let acme = || Client::builder().project("acme");
    assert!(built(Client::builder()).is_err());
    assert!(built(acme().base_url("https://host")).is_err());
    assert!(built(acme().timeout(Duration::ZERO)).is_err());
    assert!(built(acme().max_body_bytes(0)).is_err());
}

#[test]
fn the_environment_names_a_url_or_a_project_and_a_token() {
    let from = |set: &[(&str, &str)]| {
        let set: Vec<(String, String)> =
            set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        ClientBuilder::from_variables(move |name| {
            set.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        })
        .and_then(ClientBuilder::build)
    };
    let client = from(&[("TEXTER_PROJECT", "acme"), ("TEXTER_TOKEN", "t")]).unwrap();
    assert_eq!(base_of(&client), "https://acme.texterchat.com/server/api/v2");
    let both =
        [("TEXTER_PROJECT", "acme"), ("TEXTER_BASE_URL", "https://host/x"), ("TEXTER_TOKEN", "t")];
    assert_eq!(base_of(&from(&both).unwrap()), "https://host/x");
    for (set, named) in [
        (&[("TEXTER_TOKEN", "t")][..], "TEXTER_PROJECT"),
        (&[("TEXTER_PROJECT", "acme")], "TEXTER_TOKEN"),
        (&[("TEXTER_PROJECT", ""), ("TEXTER_TOKEN", "t")], "TEXTER_PROJECT"),
    ] {
        let error = from(set).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
}
