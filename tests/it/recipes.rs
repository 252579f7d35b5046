//! The README's recipes: each file in `recipes` stands there word for word, and is run here.

use super::{CHAT, at_once, client_of, conversation, ids, server_with};

/// The README as whoever copies from it sees it.
const README: &str = include_str!("../../README.md");

fn stands_in_the_readme(recipe: &str) {
    assert!(README.contains(&format!("```rust\n{recipe}```\n")), "not in README.md:\n{recipe}");
}

mod from_the_beginning {
    include!("recipes/from_the_beginning.rs");

    #[tokio::test]
    async fn runs() {
        super::stands_in_the_readme(include_str!("recipes/from_the_beginning.rs"));
        let server = super::server_with(120).start().await.unwrap();
        let client = super::client_of(&server).build().unwrap();
        let messages = from_the_beginning(&client, super::CHAT).await.unwrap();
        assert_eq!(messages.len(), 120);
        assert!(messages.is_sorted_by_key(|message| message.timestamp));
    }
}

mod what_is_new {
    include!("recipes/what_is_new.rs");

    use texter_history::Timestamp;
    use texter_history::testing::FakeMessage;

    #[tokio::test]
    async fn runs() {
        super::stands_in_the_readme(include_str!("recipes/what_is_new.rs"));
        let server = super::server_with(120).start().await.unwrap();
        let client = super::client_of(&server).build().unwrap();
        let (mut stored, mut checkpoint) = (Vec::new(), None);
        for new in [120, 1, 0] {
            let before = stored.len();
            let mut next = checkpoint.clone();
            let store = |message: Message, line| {
                stored.push(message.id);
                next = Some(line);
            };
            what_is_new(&client, super::CHAT, checkpoint, store).await.unwrap();
            checkpoint = next;
            assert_eq!(stored.len() - before, new);
            if new == 120 {
                let message = FakeMessage::text(Timestamp::now(), "a1", "hello again");
                server.add_message(super::CHAT, message);
            }
        }
        assert_eq!(stored.last().unwrap(), "a1");
    }
}

mod follow {
    include!("recipes/follow.rs");

    use texter_history::ErrorKind;
    use texter_history::testing::Fault;

    #[tokio::test]
    async fn runs() {
        super::stands_in_the_readme(include_str!("recipes/follow.rs"));
        // The third look meets a server that fails for a while, the fifth one that takes the token no longer.
        let server = super::server_with(120).faults(|_, number| match number {
            2 | 3 => Some(Fault::status(503)),
            5 => Some(Fault::status(401)),
            _ => None,
        });
        let server = server.start().await.unwrap();
        let policy = super::at_once().max_attempts(2);
        let client = super::client_of(&server).retry(policy).build().unwrap();
        let error = follow(&client, super::CHAT, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!((error.kind(), server.request_count()), (ErrorKind::Unauthorized, 6));
    }
}

mod many_chats {
    include!("recipes/many_chats.rs");

    use texter_history::testing::{FakeChat, FakeTexter};

    #[tokio::test]
    async fn runs() {
        super::stands_in_the_readme(include_str!("recipes/many_chats.rs"));
        let chat = |id: &str| FakeChat::new(id).messages(super::conversation(60));
        let server = FakeTexter::builder().chat(chat("a")).chat(chat("b")).start().await.unwrap();
        // One that is not there does not stop the others.
        let chats = ["a", "none", "b"].map(String::from).to_vec();
        many_chats(super::client_of(&server), chats).await.unwrap();
        let requests = server.requests();
        let of = |id: &str| requests.iter().filter(|r| r.chat_id.as_deref() == Some(id)).count();
        assert_eq!(["a", "none", "b"].map(of), [2, 1, 2]);
        let took = requests[4].received - requests[0].received;
        assert!(took >= std::time::Duration::from_millis(380), "{took:?}");
    }
}

mod several_at_once {
    include!("recipes/several_at_once.rs");

    #[tokio::test]
    async fn runs() {
        super::stands_in_the_readme(include_str!("recipes/several_at_once.rs"));
        let server = super::server_with(2_000).start().await.unwrap();
        let client = super::client_of(&server).build().unwrap();
        let messages = several_at_once(&client, super::CHAT).await.unwrap();
        let plain: Vec<Message> =
            client.messages(super::CHAT).page_size(1_000).stream().try_collect().await.unwrap();
        assert_eq!(messages, plain);
    }
}

mod batches {
    include!("recipes/batches.rs");

    use texter_history::testing::Fault;

    #[tokio::test]
    async fn runs() {
        super::stands_in_the_readme(include_str!("recipes/batches.rs"));
        for fails in [false, true] {
            let server = super::server_with(250);
            // Oldest first, the newest page is asked for first, and its time is reached last.
            let end = super::conversation(250)[249].timestamp().as_millis();
            let middle = super::conversation(250)[160].timestamp().as_millis();
            let server = server.faults(move |request, _| {
                let (time, _) = request.before.as_ref()?;
                (fails && (middle..=end).contains(time)).then(|| Fault::status(404))
            });
            let server = server.start().await.unwrap();
            let client = super::client_of(&server).build().unwrap();
            let mut sizes = Vec::new();
            let store = |batch: &[(Message, Checkpoint)], checkpoint: &Checkpoint| {
                assert_eq!(batch.last().unwrap().1, *checkpoint);
                sizes.push(batch.len());
            };
            let outcome = batches(&client, super::CHAT, store).await;
            assert_eq!(outcome.is_err(), fails);
            if fails {
                // What came before the error is stored, too.
                assert!(sizes.iter().sum::<usize>() > 0 && sizes.last() < Some(&100), "{sizes:?}");
            } else {
                assert_eq!(sizes, [100, 100, 50]);
            }
        }
    }
}

mod date_range {
    include!("recipes/date_range.rs");

    use texter_history::Timestamp;
    use texter_history::testing::{FakeChat, FakeMessage, FakeTexter};

    #[tokio::test]
    async fn runs() {
        super::stands_in_the_readme(include_str!("recipes/date_range.rs"));
        let message = |time: &str, id: &str| {
            FakeMessage::text(time.parse::<Timestamp>().unwrap(), id, "hello")
        };
        let chat = FakeChat::new("a").messages([
            message("2024-12-31T21:59:59.999Z", "a"),
            message("2024-12-31T22:00:00Z", "b"),
            message("2025-01-31T21:59:59.999Z", "c"),
            message("2025-01-31T22:00:00Z", "d"),
        ]);
        let server = FakeTexter::builder().chat(chat).start().await.unwrap();
        let client = super::client_of(&server).build().unwrap();
        let january = date_range(&client, "a").await.unwrap();
        assert_eq!(super::ids(&january), ["c", "b"]);
    }
}

mod own_struct {
    include!("recipes/own_struct.rs");

    #[tokio::test]
    async fn runs() {
        super::stands_in_the_readme(include_str!("recipes/own_struct.rs"));
        let server = super::server_with(120).start().await.unwrap();
        let client = super::client_of(&server).build().unwrap();
        let lines = own_struct(&client, super::CHAT).await.unwrap();
        assert_eq!(lines.len(), 120);
        assert!(lines.iter().any(|line| line.text.is_some()));
        assert!(lines[0].timestamp > lines[119].timestamp);
    }
}

mod status_and_edits {
    include!("recipes/status_and_edits.rs");

    use texter_history::testing::{FakeChat, FakeMessage, FakeTexter};

    #[tokio::test]
    async fn runs() {
        super::stands_in_the_readme(include_str!("recipes/status_and_edits.rs"));
        let said = |text: &str| FakeMessage::text(Timestamp::now(), "a1", text);
        let chat = FakeChat::new("a").messages([said("helo")]);
        let server = FakeTexter::builder().chat(chat).start().await.unwrap();
        let client = super::client_of(&server).build().unwrap();
        let mut archive = HashMap::new();
        status_and_edits(&client, "a", &mut archive).await.unwrap();
        server.remove_message("a", "a1");
        server.add_message("a", said("hello"));
        status_and_edits(&client, "a", &mut archive).await.unwrap();
        let texts: Vec<_> = archive.values().map(|message| message.text.as_deref()).collect();
        assert_eq!(texts, [Some("hello")]);
    }
}

mod your_test {
    include!("recipes/your_test.rs");

    #[test]
    fn runs() {
        super::stands_in_the_readme(include_str!("recipes/your_test.rs"));
    }
}
