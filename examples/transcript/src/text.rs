//! Text as people wrote it: in its own direction, its links to be clicked.

use maud::{Markup, html};

/// A paragraph whose direction is that of its own letters.
pub(crate) fn paragraph(class: &str, text: &str) -> Markup {
    html! { p class=(class) dir="auto" { (linked(text)) } }
}

/// The text, escaped, with its web addresses as links.
fn linked(text: &str) -> Markup {
    html! {
        @for piece in pieces(text) {
            @match piece {
                Piece::Text(text) => (text),
                Piece::Link(url) => a href=(url) rel="noopener noreferrer" { (url) },
            }
        }
    }
}

#[derive(Debug, PartialEq)]
enum Piece<'a> {
    Text(&'a str),
    Link(&'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) =
        ["https://", "http://"].iter().filter_map(|scheme| rest.find(scheme)).min()
    {
        let (before, from) = rest.split_at(start);
        let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"');
        let (url, _) = from.split_at(from.find(ends).unwrap_or(from.len()));
        // The end of a sentence is not the address's.
        let url = url.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'']);
        pieces.push(Piece::Text(before));
        pieces.push(match url.ends_with("//") {
            true => Piece::Text(url),
            false => Piece::Link(url),
        });
        rest = &from[url.len()..];
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    pieces
}

#[cfg(test)]
mod tests {
    use super::Piece::{Link, Text};
    use super::*;

    #[test]
    fn addresses_are_links_and_nothing_else_is() {
        assert_eq!(pieces("no link"), [Text("no link")]);
        assert_eq!(
            pieces("see https://a.example/x?b=c&d=e#f, (http://b.example)."),
            [
                Text("see "),
                Link("https://a.example/x?b=c&d=e#f"),
                Text(", ("),
                Link("http://b.example"),
                Text(").")
            ]
        );
        assert_eq!(pieces("javascript:alert(1)"), [Text("javascript:alert(1)")]);
        let bare: String = pieces("https:// http://")
            .iter()
            .map(|piece| match piece {
                Text(text) => *text,
                Link(url) => panic!("{url}"),
            })
            .collect();
        assert_eq!(bare, "https:// http://");
    }

    #[test]
    fn everything_is_escaped() {
        let markup = paragraph("text", "<script>alert(1)</script> & https://a.example/\"onclick=x")
            .into_string();
        assert_eq!(
            markup,
            "<p class=\"text\" dir=\"auto\">&lt;script&gt;alert(1)&lt;/script&gt; &amp; \
             <a href=\"https://a.example/\" rel=\"noopener noreferrer\">https://a.example/</a>&quot;onclick=x</p>"
        );
    }
}
