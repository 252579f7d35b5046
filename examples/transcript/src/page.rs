//! The page around the messages: its head, its days, its end.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use texter_history::{Channel, Error, Message};

use crate::message::{Author, author, bubble, system};
use crate::replies::Replies;

/// How a file is known for a transcript.
pub(crate) const GENERATOR: &str = "texter-history transcript";

const STYLE: &str = include_str!("style.css");
const ICONS: &str = include_str!("icons.svg");

/// A page that is written piece by piece.
pub(crate) struct Page {
    chat: String,
    customer: Option<String>,
    /// The channel, and who speaks to whom in it.
    channel: Vec<String>,
    zone: TimeZone,
    replies: Replies,
    /// Who wrote the message before, on the same day.
    before: Option<Author>,
    at: At,
}

/// How far the page is.
enum At {
    /// Its head has not been written: it names what the first message tells.
    Beginning,
    /// Its head has been written.
    Body,
    /// In a day's section.
    Day,
}

impl Page {
    pub(crate) fn new(chat: &str, customer: Option<String>, zone: TimeZone) -> Self {
        let chat = chat.to_owned();
        Self {
            chat,
            customer,
            channel: Vec::new(),
            zone,
            replies: Replies::default(),
            before: None,
            at: At::Beginning,
        }
    }

    pub(crate) fn time_zone(&self) -> &TimeZone {
        &self.zone
    }

    /// A message, and before it the heading of the day that it begins.
    pub(crate) fn message(&mut self, message: &Message, begins: Option<Date>) -> String {
        self.learn(message);
        let mut piece = self.head();
        if let Some(day) = begins {
            piece.push_str(&self.day(day));
        }
        let markup = if message.is_system() {
            self.before = None;
            system(message, &self.zone)
        } else {
            let author = author(message, self.customer.as_deref());
            let goes_on = self.before.as_ref() == Some(&author);
            let markup = bubble(message, &author, goes_on, &self.zone, &self.replies);
            self.replies.remember(message, author.name());
            self.before = Some(author);
            markup
        };
        piece.push_str(&line(&markup));
        piece
    }

    fn day(&mut self, day: Date) -> String {
        let end = if matches!(self.at, At::Day) { "</section>\n" } else { "" };
        self.at = At::Day;
        self.before = None;
        let name = day.strftime("%A, %-d %B %Y").to_string();
        let heading = html! { h2 { time datetime=(day) { (name) } } };
        format!("{end}<section class=\"day\">{}", line(&heading))
    }

    pub(crate) fn unreadable(&mut self, error: &Error) -> String {
        self.before = None;
        let mut piece = self.head();
        piece.push_str(&line(&html! {
            p.system.odd {
                "A message that cannot be read"
                @if let Some(path) = error.path() { ", for its " code { (path) } }
            }
        }));
        piece
    }

    pub(crate) fn end(&mut self, messages: u64, unreadable: u64) -> String {
        let mut piece = self.head();
        if matches!(self.at, At::Day) {
            piece.push_str("</section>\n");
        }
        let zone = self.zone.iana_name().unwrap_or("UTC");
        let end = html! {
            footer.end {
                p {
                    (messages) " messages"
                    @if unreadable > 0 { ", and " (unreadable) " that cannot be read" }
                    " · times are of " (zone)
                }
                p { "Chat " code { (self.chat) } }
            }
        };
        piece.push_str(&end.into_string());
        piece.push_str("\n</main>\n</body>\n</html>\n");
        piece
    }

    /// The customer's name, if none was given, is what the channel calls the customer.
    fn learn(&mut self, message: &Message) {
        let account = message.chat_channel_info.as_ref().and_then(|info| info.id.as_ref());
        if let (None, Some(account)) = (&self.customer, account) {
            self.customer = Some(account.to_string());
        }
        if let (At::Beginning, Some(info)) = (&self.at, &message.chat_channel_info) {
            let channel = info.name.as_ref().map(|channel| channel_name(channel).to_owned());
            let accounts = [&info.id, &info.account_id];
            let accounts = accounts.into_iter().flatten().map(ToString::to_string);
            let accounts: Vec<_> = accounts.collect();
            self.channel = channel.into_iter().chain([accounts.join(" ⇄ ")]).collect();
        }
    }

    /// Everything before the first day; nothing if it has been written.
    fn head(&mut self) -> String {
        if !matches!(self.at, At::Beginning) {
            return String::new();
        }
        self.at = At::Body;
        let title = match &self.customer {
            Some(customer) => format!("Conversation with {customer}"),
            None => format!("Conversation {}", self.chat),
        };
        // Should a text ever get past the escaping, the browser runs and loads nothing all the same.
        let policy = "default-src 'none'; style-src 'unsafe-inline'";
        let head = html! {
            (DOCTYPE)
            html lang="en" dir="ltr" {
                head {
                    meta charset="utf-8";
                    meta name="generator" content=(GENERATOR);
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="referrer" content="no-referrer";
                    title { (title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (PreEscaped(ICONS))
                    main {
                        header.top {
                            h1 dir="auto" { (title) }
                            @for part in &self.channel { span dir="auto" { (part) } }
                        }
                    }
                }
            }
        };
        let mut head = head.into_string();
        // What is open here is closed at the end.
        if let Some(open) = head.rfind("</main>") {
            head.truncate(open);
        }
        head.push('\n');
        head
    }
}

fn line(markup: &Markup) -> String {
    format!("{}\n", markup.0)
}

/// What a channel calls itself.
fn channel_name(channel: &Channel) -> &str {
    match channel {
        Channel::Whatsapp => "WhatsApp",
        Channel::Messenger => "Messenger",
        Channel::Instagram => "Instagram",
        Channel::WebsiteChat => "website",
        Channel::Email => "e-mail",
        Channel::Sms => "SMS",
        other => other.as_str(),
    }
}
