//! Emails.

use mail_parser::{Address, Message, MessageParser, MimeHeaders as _, PartType};

use crate::{Failure, Part, plain, web};

/// Maximum depth of nested forwarded mails.
const DEEPEST: usize = 5;

/// Sender, recipients, subject and body, with forwarded mails. Other attachments are only named: they are
/// uploaded as files of their own.
pub fn message(bytes: &[u8]) -> Result<Vec<Part>, Failure> {
    let mail = MessageParser::default().parse(bytes);
    let mail = mail.filter(|mail| mail.from().is_some() || mail.subject().is_some());
    let mail = mail.ok_or_else(Failure::damaged)?;
    let mut text = String::new();
    write(&mail, DEEPEST, &mut text)?;
    Ok(vec![plain::part(text, false)])
}

fn write(mail: &Message<'_>, deepest: usize, text: &mut String) -> Result<(), Failure> {
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!("{name}: {value}\n"));
        }
    };
    line("Subject", mail.subject().map(str::to_owned));
    line("From", mail.from().map(people));
    line("To", mail.to().map(people));
    line("Cc", mail.cc().map(people));
    line("Date", mail.date().map(|date| date.to_rfc3339()));
    for attachment in mail.attachments() {
        let name = attachment.attachment_name().map(str::to_owned);
        line("Attachment", name);
    }
    text.push('\n');
    text.push_str(&body(mail)?);
    let forwarded = mail.parts.iter().filter_map(|part| match &part.body {
        PartType::Message(mail) => Some(mail),
        _ => None,
    });
    for mail in forwarded.filter(|_| deepest > 0) {
        text.push_str("\n\n");
        write(mail, deepest - 1, text)?;
    }
    Ok(())
}

/// The plain text or, if there is none, the HTML body.
fn body(mail: &Message<'_>) -> Result<String, Failure> {
    for ids in [&mail.text_body, &mail.html_body] {
        let mut text = String::new();
        for part in ids.iter().filter_map(|id| mail.parts.get(*id as usize)) {
            match &part.body {
                PartType::Text(words) => text.push_str(words),
                PartType::Html(html) => {
                    text.extend(web::page(html)?.into_iter().map(|part| part.text));
                }
                _ => {}
            }
            text.push('\n');
        }
        if !text.trim().is_empty() {
            return Ok(text.trim().to_owned());
        }
    }
    Ok(String::new())
}

fn people(address: &Address<'_>) -> String {
    let one = |address: &mail_parser::Addr<'_>| match (address.name(), address.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    };
    let all: Vec<String> = address.iter().map(one).collect();
    all.join(", ")
}
