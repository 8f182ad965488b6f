"""Record → identity → mask → fragments → store: the whole way in.

Rules of this room (sources.md "Interface", DESIGN.md "Flow"):

1. An export is read twice. The first pass (`gather`) writes nothing: it finds every refusal and gathers what a
   part may use of the inbox besides itself, the address book and each author's voice in each conversation. The
   second (`run`) writes in batches under an import id that no view, count or export sees. `publish` is one
   transaction.
2. A message is masked and encoded once, here (`encode`); a read only picks, fills slots and joins.
3. What is computed for a part may use that part, the same author's parts in that conversation and the inbox's
   address book: never another's words.
4. A record's id is drawn from its key by the store's secret (`kept`): importing twice is importing once, and ids
   do not depend on what else the inbox holds.
5. A newer export adds and edits; an older one never undoes. An edit is a new record that replaces the old one.
"""
