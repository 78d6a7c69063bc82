//! Mails.

use mail_parser::{Address, MessageParser, MimeHeaders as _, PartType};

use crate::{Failure, Part, plain, web};

/// Who wrote what to whom, and the body. Attachments are named, and files of their own.
pub fn message(bytes: &[u8]) -> Result<Vec<Part>, Failure> {
    let mail = MessageParser::default().parse(bytes);
    let mail = mail.filter(|mail| mail.from().is_some() || mail.subject().is_some());
    let mail = mail.ok_or_else(|| Failure::damaged("it is no mail"))?;
    let mut text = String::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!("{name}: {value}\n"));
        }
    };
    line("Subject", mail.subject().map(str::to_owned));
    line("From", mail.from().map(people));
    line("To", mail.to().map(people));
    line("Date", mail.date().map(|date| date.to_rfc3339()));
    for attachment in mail.attachments() {
        line(
            "Attachment",
            attachment.attachment_name().map(str::to_owned),
        );
    }
    text.push('\n');
    let is_html = |part: &mail_parser::MessagePart<'_>| matches!(part.body, PartType::Html(_));
    let body = match mail.text_part(0) {
        Some(part) if is_html(part) => {
            let html = mail.body_html(0).unwrap_or_default();
            let parts = web::page(&html)?;
            parts.into_iter().map(|part| part.text).collect()
        }
        _ => mail.body_text(0).unwrap_or_default().into_owned(),
    };
    text.push_str(&body);
    Ok(vec![plain::part(text, false)])
}

fn people(address: &Address<'_>) -> String {
    let one = |address: &mail_parser::Addr<'_>| match (address.name(), address.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    };
    let all: Vec<String> = address.iter().map(one).collect();
    all.join(", ")
}
