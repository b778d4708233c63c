//! What the worker keeps to list surface forms: made when the list is first looked at, and as much of it again as a
//! change asks for.

use std::collections::BTreeMap;

use explorer::filter::{Filter, Selection};
use explorer::surface_forms::{FormList, Learned, SurfaceForms};
use shared::corpus::decision::Decision;
use shared::corpus::span::SpanId;
use shared::detection::judge::Judge;
use shared::detection::judgement::Judgement;

use crate::protocol::{FormQuery, FormRows};
use shared::corpus::Corpus;

/// The surface forms of the open file.
pub struct FormCache {
    forms: SurfaceForms,
    /// Of the window and metric in force.
    learned: Option<Learned>,
    /// Which forms pass this filter; without one all do.
    passing: Option<(Filter, Vec<bool>)>,
}

impl FormCache {
    pub fn new(corpus: &Corpus, judge: &Judge) -> Self {
        Self { forms: SurfaceForms::new(corpus, &judge.index, &judge.assigned), learned: None, passing: None }
    }

    /// Another judge is in force.
    pub fn forget_judge(&mut self) {
        (self.learned, self.passing) = (None, None);
    }

    /// Decisions have changed, of which the filter may speak.
    pub fn forget_decisions(&mut self) {
        self.passing = self.passing.take().filter(|(filter, _)| filter.decided.is_none());
    }

    /// The rows asked for. `select`: the spans that pass a filter; the form that the filter itself names is left
    /// aside, so that it can be chosen among the others.
    pub fn rows(
        &mut self,
        query: FormQuery,
        corpus: &Corpus,
        judgement: &Judgement,
        by_hand: &BTreeMap<SpanId, Decision>,
        filter: &Filter,
        select: impl FnOnce(&Filter) -> Option<Selection>,
    ) -> FormRows {
        let Self { forms, learned, passing } = self;
        let filter = Filter { form: None, ..filter.clone() };
        if passing.as_ref().is_none_or(|(of, _)| *of != filter) {
            *passing = select(&filter).map(|selection| (filter, forms.passing(&selection)));
        }
        let learned = learned.get_or_insert_with(|| forms.learned(judgement.judge()));
        let passing = passing.as_ref().map(|(_, passing)| passing.as_slice());
        let list = FormList::new(forms, learned, judgement, by_hand, passing);
        let (total, all) = list.len();
        let rows = list.page(corpus, query.order, query.offset, query.limit);
        FormRows { total, all, offset: query.offset, rows }
    }
}
