//! Messages to the user.

use std::sync::Arc;

use leptos::prelude::*;

use super::App;
use crate::review::Saved;

/// A message to the user.
#[derive(Clone)]
pub struct Notice {
    /// Whether it reports an error.
    pub is_error: bool,
    /// The text.
    pub text: String,
    /// An action that the user can choose.
    pub offer: Option<Offer>,
    /// A text to copy by hand: what it is, and the text.
    pub copy: Option<(&'static str, String)>,
}

/// An action that a notice offers.
#[derive(Clone)]
pub struct Offer {
    /// The text of its button.
    pub label: &'static str,
    /// What happens when the user has accepted (`true`) or refused.
    answer: Arc<dyn Fn(bool) + Send + Sync>,
}

impl App {
    /// Shows a notice. It replaces one with the same text, and one with a text to copy of the same kind.
    fn notify(&self, notice: Notice) {
        let kind = |notice: &Notice| notice.copy.as_ref().map(|(what, _)| *what);
        self.notices.update(|notices| {
            notices.retain(|n| n.text != notice.text && (kind(n).is_none() || kind(n) != kind(&notice)));
            notices.push(notice);
        });
    }

    /// Tells the user something.
    pub fn tell(&self, is_error: bool, text: String) {
        self.notify(Notice { is_error, text, offer: None, copy: None });
    }

    /// Tells the user something, and offers an action. `answer` gets to know whether the user has accepted.
    pub fn offer(&self, text: String, label: &'static str, answer: impl Fn(bool) + Send + Sync + 'static) {
        let offer = Some(Offer { label, answer: Arc::new(answer) });
        self.notify(Notice { is_error: false, text, offer, copy: None });
    }

    /// Tells the user something, with a text to be copied by hand.
    fn tell_to_copy(&self, text: String, what: &'static str, copy: String) {
        self.notify(Notice { is_error: false, text, offer: None, copy: Some((what, copy)) });
    }

    /// Shows the user a link that is to be copied by hand.
    pub fn tell_link(&self, text: String, link: String) {
        self.tell_to_copy(text, "Link to this view", link);
    }

    /// Tells that decisions were saved in the folder of the run, and how to train on them.
    pub fn tell_saved(&self, Saved { file, command }: Saved) {
        let file = format!("Your decisions are saved in {file}.");
        match command {
            Some(command) => {
                let how = format!("{file} To train on them, give this command where you started the run:");
                self.tell_to_copy(how, "Command that trains on your decisions", command);
            }
            None => self.tell(false, format!("{file} `trainer clean --decisions` applies them.")),
        }
    }

    /// Removes a notice. If it offers an action, hands on whether the user has accepted it.
    pub fn answer(&self, notice: &Notice, accepted: bool) {
        self.notices.update(|notices| notices.retain(|n| n.text != notice.text));
        if let Some(offer) = &notice.offer {
            (offer.answer)(accepted);
        }
    }
}
