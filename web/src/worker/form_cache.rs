//! The list of surface forms that the worker keeps for the open file. It is made when the list is first shown. A
//! change rebuilds only the parts that it affects.

use std::collections::BTreeMap;

use explorer::filter::{Filter, Selection};
use explorer::queue::{self, Next};
use explorer::review::Review;
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
    /// Metric values of the forms for the current window and metric.
    learned: Option<Learned>,
    /// The filter, and which forms pass it. Without a filter, all forms pass.
    passing: Option<(Filter, Vec<bool>)>,
}

impl FormCache {
    pub fn new(corpus: &Corpus, judge: &Judge) -> Self {
        Self { forms: SurfaceForms::new(corpus, &judge.index, &judge.assigned), learned: None, passing: None }
    }

    /// Drops everything that depends on the judge. Called when another judge is in force.
    pub fn forget_judge(&mut self) {
        (self.learned, self.passing) = (None, None);
    }

    /// Drops the filter result if the filter depends on decisions. Called when decisions have changed.
    pub fn forget_decisions(&mut self) {
        self.passing = self.passing.take().filter(|(filter, _)| filter.decided.is_none());
    }

    /// Returns the next open spans, without the `skipped` ones and those like them.
    pub fn next(&self, judgement: &Judgement, review: &Review, skipped: &[SpanId]) -> Option<Next> {
        queue::next(&self.forms, judgement, review, skipped)
    }

    /// Returns the rows of a query. `select` returns the spans that pass a filter. If the filter names a form,
    /// that part is ignored, so that the list still shows the other forms.
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
