"""Labels a text with a dictionary by spaCy's PhraseMatcher, and says what it took.

    python3 phrase_matcher.py DICTIONARY.tsv TEXT.txt

DICTIONARY.tsv has a form and a type in each line, TEXT.txt a sentence in each line. Of matches that overlap, it keeps the
longest (`trainer annotate` goes from left to right). It prints a JSON record for each sentence, to /dev/null.
"""

import json
import os
import resource
import sys
import time

import spacy
from spacy.matcher import PhraseMatcher
from spacy.tokens import Doc
from spacy.util import filter_spans

dictionary, text = sys.argv[1:]
start = time.process_time()
nlp = spacy.blank("en")
matcher = PhraseMatcher(nlp.vocab)
with open(dictionary, encoding="utf-8") as lines:
    for line in lines:
        form, kind = line.rstrip("\n").split("\t")
        matcher.add(kind, [Doc(nlp.vocab, words=form.split())])
built = time.process_time()
matches = 0
with open(text, encoding="utf-8") as lines, open(os.devnull, "w", encoding="utf-8") as out:
    for line in lines:
        doc = nlp.make_doc(line.rstrip("\n"))
        found = filter_spans(matcher(doc, as_spans=True))
        matches += len(found)
        spans = [{"start": s.start_char, "end": s.end_char, "label": s.label_} for s in found]
        out.write(json.dumps({"text": doc.text, "spans": spans}) + "\n")
print(
    json.dumps(
        {
            "dictionary_cpu_s": round(built - start, 2),
            "text_cpu_s": round(time.process_time() - built, 2),
            "matches": matches,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    )
)
