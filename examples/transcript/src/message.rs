//! One message: a bubble on its author's side, or a line of the system's between.

use jiff::tz::TimeZone;
use maud::{Markup, html};
use texter_history::{ChatStatus, Direction, Message, Status, Timestamp};

use crate::days::zoned;
use crate::parts::content;
use crate::replies::{Replies, answered, place, place_of};

/// Who wrote a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Author {
    Customer(String),
    Agent(String),
    /// The message does not say which way it went.
    Unknown,
}

impl Author {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Customer(name) | Self::Agent(name) => name,
            Self::Unknown => "?",
        }
    }

    /// The side of the page: a class of the style sheet's.
    fn side(&self) -> &'static str {
        match self {
            Self::Customer(_) | Self::Unknown => "in",
            Self::Agent(_) => "out",
        }
    }
}

pub(crate) fn author(message: &Message, customer: Option<&str>) -> Author {
    match &message.direction {
        Some(Direction::Incoming) => Author::Customer(customer.unwrap_or("Customer").to_owned()),
        Some(Direction::Outgoing) => {
            Author::Agent(message.agent.as_ref().map_or("Agent", |agent| agent.as_str()).to_owned())
        }
        _ => Author::Unknown,
    }
}

/// A message of the conversation. `goes_on`: the one before is by the same author, who is not named again.
pub(crate) fn bubble(
    message: &Message,
    author: &Author,
    goes_on: bool,
    zone: &TimeZone,
    replies: &Replies,
) -> Markup {
    let deleted = message.status == Some(Status::Deleted);
    html! {
        article class={ (author.side()) @if goes_on { " goes-on" } @if deleted { " deleted" } } id=(place(message)) {
            @if !goes_on { h3 dir="auto" { (author.name()) } }
            div.bubble {
                @if let Some(id) = answered(message) { (reply(&id, replies)) }
                @if deleted { p.note { "This message was deleted." } }
                (content(message))
                p.meta { (time(message.timestamp, zone)) (ticks(message, author)) }
                (reactions(message))
            }
        }
    }
}

/// What the message answers, with a link to it.
fn reply(id: &str, replies: &Replies) -> Markup {
    html! {
        a.reply href={ "#" (place_of(id)) } {
            @match replies.quote(id) {
                Some(quote) => {
                    strong dir="auto" { (quote.name) }
                    span dir="auto" { (quote.words) }
                }
                None => span { "In reply to an earlier message" },
            }
        }
    }
}

fn time(time: Timestamp, zone: &TimeZone) -> Markup {
    let zoned = zoned(time, zone);
    html! { time datetime=(time) title=(zoned.strftime("%F %T %Z")) { (zoned.strftime("%H:%M")) } }
}

/// How far an outgoing message has come. (An incoming one has arrived.)
fn ticks(message: &Message, author: &Author) -> Markup {
    let Some(status) = message.status.filter(|_| matches!(author, Author::Agent(_))) else {
        return html! {};
    };
    let (class, icon, words) = match status {
        Status::Sent => ("waiting", "clock", "sent"),
        Status::Accepted => ("accepted", "tick", "accepted"),
        Status::Delivered => ("delivered", "ticks", "delivered"),
        Status::Seen => ("seen", "ticks", "seen"),
        Status::Failed | Status::ChannelFailed => ("failed", "warning", "not delivered"),
        Status::Deleted => return html! {},
        other => return html! { span.ticks { "status " (other) } },
    };
    html! {
        span class={ "ticks " (class) } title=(words) {
            svg role="img" aria-label=(words) { use href={ "#icon-" (icon) } {} }
            @if class == "failed" { (words) }
        }
    }
}

/// The emoji, where the reactions are of the shape that has been seen; the reference documents none.
fn reactions(message: &Message) -> Markup {
    let value = message.reactions.as_ref().and_then(|reactions| reactions.to_value().ok());
    let reactions: Vec<&str> = value
        .iter()
        .filter_map(|value| value.as_array())
        .flatten()
        .filter_map(|reaction| reaction.get("emoji")?.as_str())
        .collect();
    html! {
        @if !reactions.is_empty() {
            p.reactions aria-label="reactions" { @for reaction in reactions { span { (reaction) } } }
        }
    }
}

/// What happened to the chat.
pub(crate) fn system(message: &Message, zone: &TimeZone) -> Markup {
    let assigned = message.extra.get("assignedTo").and_then(|to| to.to_value().ok());
    let name = assigned.as_ref().and_then(|to| to.get("name")?.as_str().or(to.as_str()));
    let status = message.new_chat_status.map(|status| match status {
        ChatStatus::Bot => "The chat is with the bot".to_owned(),
        ChatStatus::Pending => "The chat waits for an agent".to_owned(),
        ChatStatus::Assigned => "The chat was assigned".to_owned(),
        ChatStatus::Resolved => "The chat was resolved".to_owned(),
        ChatStatus::Bulk => "The chat is part of a bulk send".to_owned(),
        other => format!("The chat's status became {other}"),
    });
    html! {
        p.system id=(place(message)) {
            @if let Some(status) = &status { (status) }
            @if let (Some(ChatStatus::Assigned), Some(name)) = (message.new_chat_status, name) { " to " bdi { (name) } }
            @if let Some(text) = &message.text { @if status.is_some() { ": " } bdi { (text) } }
            @else if status.is_none() { "A message of the system" }
            " " (time(message.timestamp, zone))
        }
    }
}
