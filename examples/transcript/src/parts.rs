//! What a message is made of, each as what it is.

use maud::{Markup, html};
use serde_json::Value;
use texter_history::{Button, Json, List, Media, MediaKind, Message, MessageKind, Postback};

use crate::text::paragraph;

/// Everything that a message carries, whatever its type says: what is there is shown.
pub(crate) fn content(message: &Message) -> Markup {
    let parts = html! {
        @for item in message.media.iter().flatten() { (media(item)) }
        @if let Some(text) = message.text.as_deref() { (paragraph("text", text)) }
        @if let Some(choice) = &message.postback { (postback(choice)) }
        @if let Some(list) = &message.list { (options(list)) }
        @if let Some(buttons) = &message.buttons { (choices(buttons)) }
        @for contact in message.contacts.iter().flatten() { (person(contact)) }
        @if let Some(place) = &message.location { (location(place)) }
        @if let Some(special) = &message.special { (template(special)) }
    };
    if parts.0.is_empty() {
        let kind = message.kind.as_ref().map_or("unknown", MessageKind::as_str);
        return html! { p.note { "A message of type " bdi { (kind) } } };
    }
    parts
}

/// A few words for a quote.
pub(crate) fn summary(message: &Message) -> String {
    if let Some(text) = &message.text {
        return text.clone();
    }
    if let Some(item) = message.media.iter().flatten().next() {
        return caption(item).unwrap_or_else(|| media_name(item).1.to_owned());
    }
    if let Some(choice) = &message.postback {
        return choice
            .title
            .as_ref()
            .or(choice.payload.as_ref())
            .map(ToString::to_string)
            .unwrap_or_default();
    }
    match &message.kind {
        Some(MessageKind::Location) => "A place".to_owned(),
        Some(MessageKind::Contacts) => "A contact".to_owned(),
        kind => kind.as_ref().map_or("a message", MessageKind::as_str).to_owned(),
    }
}

/// A box with an icon, what it is, and what is known of it.
fn card(icon: &str, title: &Markup, details: &[Option<String>]) -> Markup {
    html! {
        div class={ "card " (icon) } {
            svg aria-hidden="true" { use href={ "#icon-" (icon) } {} }
            div {
                strong dir="auto" { (title) }
                @for detail in details.iter().flatten() { span dir="auto" { (detail) } }
            }
        }
    }
}

fn media(item: &Media) -> Markup {
    let (icon, name) = media_name(item);
    let file = text_of(item, &["fileName", "filename", "name"]);
    let title = file.as_deref().unwrap_or(name);
    let kind = file.as_ref().map(|_| name.to_owned());
    let file_id = item.file_id.as_ref().map(|id| format!("file {id}"));
    html! {
        (card(icon, &html! { (title) }, &[kind, file_id]))
        @if let Some(caption) = caption(item) { (paragraph("text", &caption)) }
    }
}

fn media_name(item: &Media) -> (&str, &str) {
    match &item.media_type {
        Some(MediaKind::Image) => ("image", "Image"),
        Some(MediaKind::Video) => ("video", "Video"),
        Some(MediaKind::Document) => ("document", "Document"),
        Some(MediaKind::Audio) => ("audio", "Audio"),
        Some(MediaKind::Sticker) => ("sticker", "Sticker"),
        Some(other) => ("document", other.as_str()),
        None => ("document", "File"),
    }
}

fn caption(item: &Media) -> Option<String> {
    text_of(item, &["caption"])
}

/// The first of these fields that is a text and not empty. The reference does not list them all.
fn text_of(item: &Media, names: &[&str]) -> Option<String> {
    let text = |name: &&str| item.extra.get(name)?.parse::<String>().ok();
    names.iter().find_map(text).filter(|text| !text.is_empty())
}

fn choices(buttons: &[Button]) -> Markup {
    html! {
        ul.buttons {
            @for button in buttons {
                li dir="auto" { (button.title.as_ref().or(button.payload.as_ref()).map_or("", |title| title.as_str())) }
            }
        }
    }
}

fn options(list: &List) -> Markup {
    html! {
        div.list {
            @if let Some(button) = &list.button { strong dir="auto" { (button.as_str()) } }
            @for section in list.sections.iter().flatten() {
                @if let Some(title) = &section.title { h4 dir="auto" { (title.as_str()) } }
                ul {
                    @for row in section.rows.iter().flatten() {
                        li dir="auto" {
                            (row.title.as_ref().map_or("", |title| title.as_str()))
                            @if let Some(description) = &row.description {
                                small dir="auto" { (description.as_str()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn postback(choice: &Postback) -> Markup {
    let title =
        choice.title.as_ref().or(choice.payload.as_ref()).map_or("", |title| title.as_str());
    html! {
        div.chosen {
            svg aria-label="chose" role="img" { use href="#icon-chosen" {} }
            div {
                span dir="auto" { (title) }
                @if let Some(description) = &choice.description { small dir="auto" { (description.as_str()) } }
            }
        }
    }
}

fn person(contact: &Json) -> Markup {
    let value = contact.to_value().unwrap_or_default();
    let name =
        value["name"]["formatted_name"].as_str().or(value["name"].as_str()).unwrap_or("Contact");
    let each = |list: &str, field: &str| -> Vec<Option<String>> {
        let items = value[list].as_array();
        items.into_iter().flatten().map(|item| item[field].as_str().map(str::to_owned)).collect()
    };
    let details = [each("phones", "phone"), each("emails", "email"), each("urls", "url")].concat();
    card("contact", &html! { (name) }, &details)
}

/// A place of the usual shape has a link to a map; of any other, what it says of itself.
fn location(place: &Json) -> Markup {
    let value = place.to_value().unwrap_or_default();
    let text = |name: &str| value[name].as_str().map(str::to_owned);
    let (Some(latitude), Some(longitude)) =
        (value["latitude"].as_f64(), value["longitude"].as_f64())
    else {
        return card("location", &html! { "Place" }, &[Some(fields(&value))]);
    };
    let map = format!(
        "https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}#map=16/{latitude}/{longitude}"
    );
    let name = text("name").unwrap_or_else(|| "Place".to_owned());
    let title = html! { a href=(map) rel="noopener noreferrer" { (name) } };
    card("location", &title, &[text("address"), Some(format!("{latitude}, {longitude}"))])
}

/// A channel's own message: the template's name, where there is one.
fn template(special: &Json) -> Markup {
    let value = special.to_value().unwrap_or_default();
    let name = value["template"]["name"].as_str().map(str::to_owned);
    let details = name.unwrap_or_else(|| fields(&value));
    card("special", &html! { "Template" }, &[Some(details)])
}

/// An object of an unknown shape, in one line.
fn fields(value: &Value) -> String {
    let Some(object) = value.as_object() else { return value.to_string() };
    let field = |(name, value): (&String, &Value)| match value.as_str() {
        Some(text) => format!("{name}: {text}"),
        None => format!("{name}: {value}"),
    };
    object.iter().map(field).collect::<Vec<_>>().join(", ")
}
