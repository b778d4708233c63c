//! Messages to the user.

use std::sync::Arc;

use leptos::prelude::*;

use super::App;

/// A message to the user.
#[derive(Clone)]
pub struct Notice {
    /// Whether it reports an error.
    pub is_error: bool,
    /// The text.
    pub text: String,
    /// An action that the user can choose.
    pub offer: Option<Offer>,
    /// A link to copy by hand.
    pub link: Option<String>,
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
    /// Tells the user something.
    pub fn tell(&self, is_error: bool, text: String) {
        self.notices.update(|notices| {
            // A repeated notice replaces the earlier one.
            notices.retain(|n| n.text != text);
            notices.push(Notice { is_error, text, offer: None, link: None });
        });
    }

    /// Tells the user something, and offers an action. `answer` gets to know whether the user has accepted.
    pub fn offer(&self, text: String, label: &'static str, answer: impl Fn(bool) + Send + Sync + 'static) {
        let offer = Some(Offer { label, answer: Arc::new(answer) });
        self.notices.update(|notices| notices.push(Notice { is_error: false, text, offer, link: None }));
    }

    /// Shows the user a link that is to be copied by hand.
    pub fn tell_link(&self, text: String, link: String) {
        self.notices.update(|notices| {
            notices.retain(|n| n.link.is_none());
            notices.push(Notice { is_error: false, text, offer: None, link: Some(link) });
        });
    }

    /// Removes a notice. If it offers an action, hands on whether the user has accepted it.
    pub fn answer(&self, notice: &Notice, accepted: bool) {
        self.notices.update(|notices| notices.retain(|n| n.text != notice.text));
        if let Some(offer) = &notice.offer {
            (offer.answer)(accepted);
        }
    }
}
