package storage

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"sync"

	bolt "go.etcd.io/bbolt"

	"calljournal/agent/call"
)

// A block is the summaries of a stretch of time, column by column, as a search
// wants them: what is looked at in every call takes four bytes of it, and of most
// blocks it is known without a look that none of their calls can be meant. Blocks
// are a copy. They are made of the summaries when they are asked for, thrown away
// when a commit changes what they hold, and never stored.
//
//	keys of summaries ──────────────────────────────────────────▶ time
//	│ span, not read yet │ span ▶ block │ span ▶ block │ span, changed since │
type block struct {
	tx      int // the transaction that it was read in
	started []int64
	base    uint64 // the smallest num of all
	num     []uint32
	seqBase uint64
	seq     []uint32
	bits    []uint32
	columns [columnCount][]int32 // 1 + milliseconds, 0: unknown
	cost    []int64              // 1 + zigzag; nil: none has any
	least   [columnCount]int32   // of what is known; more than most if nothing is
	most    [columnCount]int32
	words   []uint64 // distinct, ascending
	where   []uint32 // rows[where[i]:where[i+1]] have words[i]
	rows    []uint16
	cut     []uint16 // rows of which not everything is here
	grams   []uint64 // a bit for every five letters in a row in a number or a name, by hash
}

const (
	columnWait = iota
	columnTalk
	columnTotal
	columnRing
	columnLasted
	columnCount
)

// durationColumns says which duration of a summary is in which column.
var durationColumns = [...]int{columnWait: durationWait, columnTalk: durationTalk, columnTotal: durationTotal, columnRing: durationRing}

const (
	blockRows   = 512
	blockSpare  = 256 // a block may be so much longer, so that none is very short
	blockMost   = blockRows + blockSpare
	gramBytes   = 5
	gramBits    = 8 // for each gram
	bitsStatus  = 2
	bitsFlags   = 6
	indexBudget = 96 << 20 // bytes of all blocks: 1.5 million calls
	// blockRowBytes is more than a call takes of a block.
	blockRowBytes = 128
)

func (b *block) len() int { return len(b.started) }

func (b *block) size() int {
	return len(b.started)*(8+4+4+4+4*columnCount) + 8*(len(b.cost)+len(b.words)+len(b.grams)) + 4*len(b.where) + 2*(len(b.rows)+len(b.cut)) + 512
}

// span is a stretch of keys in [low, high); nil is open.
type span struct {
	low, high []byte
	block     *block
	changed   int  // the last transaction that changed a key in it
	gone      bool // split or joined: others have its keys
}

// index keeps blocks, those of the newest calls first if there is not room for
// all.
type index struct {
	mu     sync.Mutex
	spans  []*span // of all keys, ascending
	bytes  int
	budget int
}

func newIndex(budget int) *index { return &index{spans: []*span{{}}, budget: budget} }

// forget throws everything away.
func (x *index) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, sp := range x.spans {
		sp.gone = true
	}
	x.spans, x.bytes = []*span{{}}, 0
}

// touch throws away the blocks whose keys a transaction has changed.
func (x *index) touch(keys [][]byte, tx int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range keys {
		sp := x.spans[x.at(key)]
		sp.changed = tx
		x.drop(sp)
	}
}

func (x *index) drop(sp *span) {
	if sp.block != nil {
		x.bytes -= sp.block.size()
		sp.block = nil
	}
}

// at finds the span of a key.
func (x *index) at(key []byte) int {
	i, _ := slices.BinarySearchFunc(x.spans, key, func(sp *span, key []byte) int {
		if sp.high != nil && bytes.Compare(sp.high, key) <= 0 {
			return -1
		}
		return 1
	})
	return i
}

// below finds the last span that has keys smaller than key; nil is beyond all.
func (x *index) below(key []byte) *span {
	x.mu.Lock()
	defer x.mu.Unlock()
	if key == nil {
		return x.spans[len(x.spans)-1]
	}
	i := x.at(key)
	if low := x.spans[i].low; i > 0 && bytes.Compare(low, key) >= 0 {
		i--
	}
	return x.spans[i]
}

// from finds the span that has key; nil is before all.
func (x *index) from(key []byte) *span {
	x.mu.Lock()
	defer x.mu.Unlock()
	if key == nil {
		return x.spans[0]
	}
	return x.spans[x.at(key)]
}

// heldBelow gives the blocks that are there from the last keys smaller than high
// down to low, or to the first that is not there, and where they begin.
func (x *index) heldBelow(high, low []byte) (blocks []*block, begin []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := len(x.spans) - 1
	if high != nil {
		if i = x.at(high); i > 0 && bytes.Compare(x.spans[i].low, high) >= 0 {
			i--
		}
	}
	begin = high
	for ; i >= 0 && x.spans[i].block != nil; i-- {
		blocks, begin = append(blocks, x.spans[i].block), x.spans[i].low
		if bytes.Compare(begin, low) <= 0 {
			break
		}
	}
	return blocks, begin
}

// keep puts a block where it belongs, if it is still true. [low, high) is the
// part of the span that it holds; an end of the span that is not in it becomes a
// span of its own. What is kept tells whether the index now has it.
func (x *index) keep(sp *span, low, high []byte, b *block) (kept bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if sp.gone || sp.changed > b.tx {
		return false
	}
	i := slices.Index(x.spans, sp)
	x.drop(sp)
	sp.gone = true
	now := &span{low: low, high: high, changed: sp.changed}
	parts := []*span{now}
	if !bytes.Equal(low, sp.low) {
		parts = slices.Insert(parts, 0, &span{low: sp.low, high: low, changed: sp.changed})
	}
	if !bytes.Equal(high, sp.high) {
		parts = append(parts, &span{low: high, high: sp.high, changed: sp.changed})
	}
	x.spans = slices.Replace(x.spans, i, i+1, parts...)
	i = slices.Index(x.spans, now)
	if b.len() == 0 && len(x.spans) > 1 {
		x.join(i)
		return false
	}
	size := b.size()
	// What there is no room for is older than all that is kept.
	for k := 0; x.bytes+size > x.budget && k < i; k++ {
		x.drop(x.spans[k])
	}
	if x.bytes+size > x.budget {
		return false
	}
	now.block = b
	x.bytes += size
	return true
}

// hasRoom says that another block would not be in the way of one that is there.
func (x *index) hasRoom() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.bytes+blockMost*blockRowBytes <= x.budget
}

// join gives the keys of a span without calls to the one beside it.
func (x *index) join(i int) {
	empty := x.spans[i]
	empty.gone = true
	if i > 0 {
		x.spans[i-1].high = empty.high
		x.spans[i-1].changed = max(x.spans[i-1].changed, empty.changed)
	} else {
		x.spans[i+1].low = empty.low
		x.spans[i+1].changed = max(x.spans[i+1].changed, empty.changed)
	}
	x.spans = slices.Delete(x.spans, i, i+1)
}

// piece is one block for a search, and where its keys end.
type piece struct {
	low, high []byte
	block     *block
	kept      bool
}

// pieceBelow gives the block of the last keys smaller than key, pieceFrom of the
// first ones not smaller.
func (d *DB) pieceBelow(key []byte) (piece, error) { return d.piece(d.index.below(key), true) }
func (d *DB) pieceFrom(key []byte) (piece, error)  { return d.piece(d.index.from(key), false) }

func (d *DB) piece(sp *span, fromTop bool) (piece, error) {
	d.index.mu.Lock()
	p := piece{sp.low, sp.high, sp.block, true}
	d.index.mu.Unlock()
	if p.block != nil {
		return p, nil
	}
	err := d.view(func(tx *bolt.Tx) error {
		p.block = newBlock(tx.ID())
		if fromTop {
			return d.readDown(tx, &p)
		}
		return d.readUp(tx, &p)
	})
	if err != nil {
		return p, err
	}
	p.kept = d.index.keep(sp, p.low, p.high, p.block)
	return p, nil
}

// readDown reads the last summaries of a piece, and makes it end with them.
func (d *DB) readDown(tx *bolt.Tx, p *piece) error {
	c := inSummaries.of(tx).Cursor()
	in := func(k []byte) bool { return k != nil && bytes.Compare(k, p.low) >= 0 }
	k, v := seekBelow(c, p.high)
	var keys, values [][]byte
	for ; in(k) && len(keys) < blockMost; k, v = c.Prev() {
		keys, values = append(keys, k), append(values, v)
	}
	if in(k) { // there is too much for one
		keys = keys[:blockRows]
		p.low = bytes.Clone(keys[blockRows-1])
	}
	slices.Reverse(keys)
	values = values[:len(keys)]
	slices.Reverse(values)
	return d.fillBlock(p.block, keys, values)
}

// readUp reads the first summaries of a piece.
func (d *DB) readUp(tx *bolt.Tx, p *piece) error {
	c := inSummaries.of(tx).Cursor()
	in := func(k []byte) bool { return k != nil && (p.high == nil || bytes.Compare(k, p.high) < 0) }
	k, v := c.Seek(p.low)
	var keys, values [][]byte
	for ; in(k) && len(keys) < blockMost; k, v = c.Next() {
		keys, values = append(keys, k), append(values, v)
	}
	if in(k) {
		p.high = bytes.Clone(keys[blockRows])
		keys, values = keys[:blockRows], values[:blockRows]
	}
	return d.fillBlock(p.block, keys, values)
}

// seekBelow finds the last key smaller than below, or the last at all.
func seekBelow(c *bolt.Cursor, below []byte) (k, v []byte) {
	if below == nil {
		return c.Last()
	}
	if k, _ := c.Seek(below); k == nil {
		k, v := c.Last()
		if k != nil && bytes.Compare(k, below) >= 0 {
			return nil, nil
		}
		return k, v
	}
	return c.Prev()
}

func newBlock(tx int) *block { return &block{tx: tx} }

// summaryAt reads one summary.
func (d *DB) summaryAt(k, v []byte, s *summary) error {
	payload, err := d.codec.unseal(kindSummary, k, v)
	if err == nil {
		err = s.parse(payload)
	}
	if err != nil {
		return damagedAt(inSummaries, k, err)
	}
	return nil
}

func keyOf(k []byte) (started int64, num uint64) {
	return int64(binary.BigEndian.Uint64(k) ^ 1<<63), binary.BigEndian.Uint64(k[8:])
}

// fillBlock makes the columns.
func (d *DB) fillBlock(b *block, keys, values [][]byte) error {
	n := len(keys)
	if n == 0 {
		return nil
	}
	b.started, b.num, b.seq, b.bits = make([]int64, n), make([]uint32, n), make([]uint32, n), make([]uint32, n)
	all := make([]int32, columnCount*n)
	for i := range b.columns {
		b.columns[i] = all[i*n : (i+1)*n : (i+1)*n]
		b.least[i], b.most[i] = math.MaxInt32, 0
	}
	b.base, b.seqBase = math.MaxUint64, math.MaxUint64
	nums, seqs := make([]uint64, n), make([]uint64, n)
	var pairs []uint64 // word and row
	var grams []uint32
	var s summary
	for i, k := range keys {
		if len(k) != 16 {
			return damagedAt(inSummaries, k, ErrDamaged)
		}
		if err := d.summaryAt(k, values[i], &s); err != nil {
			return err
		}
		b.started[i], nums[i] = keyOf(k)
		seqs[i] = s.seq
		b.base, b.seqBase = min(b.base, nums[i]), min(b.seqBase, s.seq)
		b.bits[i] = uint32(s.direction&3 | s.status&15<<bitsStatus | s.flags<<bitsFlags)
		for c, duration := range durationColumns {
			b.set(c, i, s.durations[duration])
		}
		b.set(columnLasted, i, s.lasted)
		if s.cost != 0 {
			if b.cost == nil {
				b.cost = make([]int64, n)
			}
			b.cost[i] = int64(s.cost)
		}
		if s.flags&flagCut != 0 {
			b.cut = append(b.cut, uint16(i))
		}
		for _, w := range s.words {
			pairs = append(pairs, w<<16|uint64(i))
		}
		for _, text := range s.numbers {
			grams = addGrams(grams, text)
		}
		for _, text := range s.names {
			grams = addGrams(grams, text)
		}
	}
	for i := range n {
		b.num[i], b.seq[i] = uint32(nums[i]-b.base), uint32(seqs[i]-b.seqBase)
	}
	slices.Sort(pairs)
	b.rows = make([]uint16, len(pairs))
	for i, p := range pairs {
		if w := p >> 16; i == 0 || pairs[i-1]>>16 != w {
			b.words, b.where = append(b.words, w), append(b.where, uint32(i))
		}
		b.rows[i] = uint16(p)
	}
	b.where = append(b.where, uint32(len(pairs)))
	slices.Sort(grams)
	grams = slices.Compact(grams)
	b.grams = make([]uint64, 1<<bits.Len(uint(len(grams)*gramBits/64)))
	for _, g := range grams {
		b.grams[g>>6&uint32(len(b.grams)-1)] |= 1 << (g & 63)
	}
	return nil
}

func (b *block) set(column, row int, zigzagged uint64) {
	ms, known := unzigzag(zigzagged)
	if !known {
		return
	}
	v := 1 + clamp(ms)
	b.columns[column][row] = v
	b.least[column], b.most[column] = min(b.least[column], v), max(b.most[column], v)
}

// addGrams adds the hash of every five bytes in a row, in small letters.
func addGrams(into []uint32, text []byte) []uint32 {
	for i := 0; i+gramBytes <= len(text); i++ {
		into = append(into, gram(text[i:i+gramBytes]))
	}
	return into
}

func gram(b []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range b[:gramBytes] {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		h = (h ^ uint32(c)) * 16777619
	}
	return h ^ h>>15
}

// mayHave says whether a text can be in a number or a name of the block.
func (b *block) mayHave(text string) bool {
	for i := 0; i+gramBytes <= len(text); i++ {
		g := gram([]byte(text[i : i+gramBytes]))
		if b.grams[g>>6&uint32(len(b.grams)-1)]>>(g&63)&1 == 0 {
			return false
		}
	}
	return true
}

// Warm makes the blocks of all calls for which there is room, those of the newest
// first, so that the first search through a long time does not wait for them. It
// works until ctx ends.
func (d *DB) Warm(ctx context.Context) error {
	var high []byte
	for ctx.Err() == nil && d.index.hasRoom() {
		p, err := d.pieceBelow(high)
		if err != nil {
			return &Error{Op: "read ahead in", Path: d.path, Err: err}
		}
		if high = p.low; high == nil {
			break
		}
	}
	return nil
}

// rowSet is a set of rows of one block.
type rowSet [blockMost / 64]uint64

func (r *rowSet) add(row uint16)    { r[row>>6] |= 1 << (row & 63) }
func (r *rowSet) remove(row uint16) { r[row>>6] &^= 1 << (row & 63) }
func (r *rowSet) has(row int) bool  { return r[row>>6]>>(row&63)&1 != 0 }
func (r *rowSet) addAll(list []uint16) {
	for _, row := range list {
		r.add(row)
	}
}

func firstRows(n int) (r rowSet) {
	for i := range r {
		if k := n - i*64; k >= 64 {
			r[i] = math.MaxUint64
		} else if k > 0 {
			r[i] = 1<<k - 1
		}
	}
	return r
}

func (r *rowSet) empty() bool { return *r == rowSet{} }

// having gives the rows that have one of the words.
func (b *block) having(c wordChoice) (r rowSet) {
	for _, w := range c {
		if i, ok := slices.BinarySearch(b.words, w); ok {
			r.addAll(b.rows[b.where[i]:b.where[i+1]])
		}
	}
	return r
}

// scan looks through the blocks for what the search wants.
func (s *search) scan() error {
	if s.filter.none {
		return nil
	}
	if s.sorting.by == byStarted {
		return s.scanInTime()
	}
	return s.scanByValue()
}

// bounds are the keys in which the hits of the page must be.
func (s *search) bounds() (low, high []byte) {
	if s.filter.from != math.MinInt64 {
		low = momentKey(nil, call.Moment(s.filter.from))
	}
	if s.filter.to != math.MaxInt64 {
		high = momentKey(nil, call.Moment(s.filter.to))
	}
	if s.after != nil && s.sorting.by == byStarted {
		key := summaryKey(s.after.started, s.after.num)
		if s.sorting.descending && (high == nil || bytes.Compare(key, high) < 0) {
			high = key
		} else if !s.sorting.descending && bytes.Compare(key, low) > 0 {
			low = key
		}
	}
	return low, high
}

// scanInTime ends as soon as the page is full: all that follows comes after it.
func (s *search) scanInTime() error {
	low, high := s.bounds()
	for {
		var p piece
		var err error
		if s.sorting.descending {
			p, err = s.d.pieceBelow(high)
		} else {
			p, err = s.d.pieceFrom(low)
		}
		if err != nil {
			return err
		}
		if err := s.look(p.block); err != nil || s.best.full() {
			return err
		}
		if s.sorting.descending {
			if high = p.low; high == nil || bytes.Compare(high, low) <= 0 {
				return nil
			}
		} else if p.high == nil || high != nil && bytes.Compare(p.high, high) >= 0 {
			return nil
		} else {
			low = p.high
		}
	}
}

// scanByValue looks first where the greatest or smallest values are, and leaves
// out every block that cannot have better ones than those found.
func (s *search) scanByValue() error {
	low, high := s.bounds()
	column, ok := s.sorting.column()
	var kept []edged
	for {
		var blocks []*block
		if blocks, high = s.d.index.heldBelow(high, low); blocks == nil {
			p, err := s.d.pieceBelow(high)
			if err != nil {
				return err
			}
			if high = p.low; p.kept {
				blocks = []*block{p.block}
			} else if err := s.look(p.block); err != nil {
				return err
			}
		}
		for _, b := range blocks {
			switch {
			case !ok:
				if err := s.look(b); err != nil {
					return err
				}
			case s.sorting.descending:
				kept = append(kept, edged{-b.most[column], b})
			default:
				kept = append(kept, edged{b.least[column], b})
			}
		}
		if high == nil || bytes.Compare(high, low) <= 0 {
			break
		}
	}
	slices.SortFunc(kept, func(a, b edged) int { return cmp.Compare(a.edge, b.edge) })
	for _, k := range kept {
		// The best that the block can have; what is unknown comes last.
		v := k.block.most[column]
		if !s.sorting.descending {
			v = k.block.least[column]
		}
		p := rank{known: k.block.most[column] > 0, value: int64(v - 1), started: math.MaxInt64}
		if !s.best.wants(&p) {
			return nil
		}
		if err := s.look(k.block); err != nil {
			return err
		}
	}
	return nil
}

// edged is a block and the best value in it, the smaller the better. A block
// whose calls have none of them known comes last.
type edged struct {
	edge  int32
	block *block
}

// column is the one that has what calls are sorted by, if it is in one.
func (o sorting) column() (column int, ok bool) {
	switch o.by {
	case byWait:
		return columnWait, true
	case byTalk:
		return columnTalk, true
	case byTotal:
		return columnTotal, true
	case byRing:
		return columnRing, true
	}
	return 0, false
}

// look takes the hits out of a block.
func (s *search) look(b *block) error {
	f := &s.filter
	n := b.len()
	if n == 0 || b.started[n-1] < f.from || b.started[0] >= f.to {
		return nil
	}
	if b.most[columnTalk] < f.talk.least || b.most[columnWait] < f.wait.least {
		return nil
	}
	rows := firstRows(n)
	var doubtful rowSet // of which the summary, or the record, must be asked
	for _, c := range f.words {
		has := b.having(c)
		for i := range rows {
			rows[i] &= has[i]
		}
	}
	for i := range f.terms {
		t := &f.terms[i]
		has := b.having(t.words)
		if t.num >= b.base && t.num != 0 {
			if row := slices.Index(b.num, uint32(t.num-b.base)); row >= 0 && b.base+uint64(b.num[row]) == t.num {
				has.add(uint16(row))
			}
		}
		if slices.ContainsFunc(t.texts, b.mayHave) {
			for i := range rows {
				doubtful[i] |= rows[i] &^ has[i]
			}
			continue
		}
		for i := range rows {
			rows[i] &= has[i]
		}
	}
	wordless := doubtful // none of their words has the term: a text has it, or nothing
	if f.textual {
		for _, row := range b.cut {
			rows.add(row)
			doubtful.add(row)
			wordless.remove(row)
		}
	}
	if s.sorting.byText() || f.part {
		doubtful = rows
	}
	if rows.empty() {
		return nil
	}
	asOf := int64(s.asOf - b.seqBase)
	if s.asOf < b.seqBase {
		return nil
	}
	var asked rowSet
	for i := range rows {
		for set := rows[i]; set != 0; set &= set - 1 {
			row := i*64 + bits.TrailingZeros64(set)
			if !s.row(b, row) || int64(b.seq[row]) > asOf {
				continue
			}
			p := s.rankIn(b, row)
			if !s.sorting.byText() && !s.wants(&p) {
				continue
			}
			if doubtful.has(row) {
				asked.add(uint16(row))
				continue
			}
			s.best.add(hit{p, b.seqBase + uint64(b.seq[row])})
		}
	}
	if asked.empty() {
		return nil
	}
	return s.ask(b, &asked, &wordless)
}

// row says whether a row may be asked for, as far as its numbers tell.
func (s *search) row(b *block, row int) bool {
	f := &s.filter
	x := b.bits[row]
	if f.directions>>(x&3)&1 == 0 || f.statuses>>(x>>bitsStatus&15)&1 == 0 {
		return false
	}
	flags := uint64(x >> bitsFlags)
	if flags&f.required != f.required || flags&f.forbidden != 0 || f.types != 0 && flags&f.types == 0 || f.has != 0 && flags&f.has == 0 {
		return false
	}
	if started := b.started[row]; started < f.from || started >= f.to {
		return false
	}
	talk, wait := b.columns[columnTalk][row], b.columns[columnWait][row]
	return talk >= f.talk.least && talk <= f.talk.most && wait >= f.wait.least && wait <= f.wait.most &&
		(f.hours == nil || f.hours.has(call.Moment(b.started[row])))
}

// rankIn is where a row stands, but for its text.
func (s *search) rankIn(b *block, row int) rank {
	p := rank{started: call.Moment(b.started[row]), num: b.base + uint64(b.num[row])}
	column := func(c int) {
		if v := b.columns[c][row]; v != 0 {
			p.known, p.value = true, int64(v-1)
		}
	}
	switch s.sorting.by {
	case byStarted:
		p.known, p.value = true, b.started[row]
	case byEnded:
		if v := b.columns[columnLasted][row]; v != 0 {
			p.known, p.value = true, endedAt(p.started, v-1)
		}
	case byWait:
		column(columnWait)
	case byTalk:
		column(columnTalk)
	case byTotal:
		column(columnTotal)
	case byRing:
		column(columnRing)
	case byCost:
		if b.cost != nil {
			p.value, p.known = unzigzag(uint64(b.cost[row]))
		}
	case byStatus:
		p.known, p.value = true, statusRank(uint64(b.bits[row]>>bitsStatus&15))
	}
	return p
}

// ask reads the summaries of rows whose columns do not tell, and the records of
// those whose summaries do not. What is asked for as text is in no word of the
// wordless.
func (s *search) ask(b *block, asked, wordless *rowSet) error {
	return s.d.view(func(tx *bolt.Tx) error {
		c := inSummaries.of(tx).Cursor()
		feed := inFeed.of(tx)
		last := -2
		for i := range asked {
			for set := asked[i]; set != 0; set &= set - 1 {
				row := i*64 + bits.TrailingZeros64(set)
				key := summaryKey(call.Moment(b.started[row]), b.base+uint64(b.num[row]))
				var k, v []byte
				if row == last+1 {
					k, v = c.Next()
				}
				if !bytes.Equal(k, key) {
					k, v = c.Seek(key)
				}
				last = row
				if !bytes.Equal(k, key) {
					continue // deleted since
				}
				if wordless.has(row) && !s.filter.hasDigits(v) {
					continue
				}
				if err := s.d.summaryAt(k, v, &s.summary); err != nil {
					return err
				}
				if s.summary.seq != b.seqBase+uint64(b.seq[row]) {
					continue // changed since: changed sees to it
				}
				if err := s.decide(feed, b, row); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// hasDigits says, before a summary is taken apart, that the digits may be in a text
// of it.
func (f *filter) hasDigits(summary []byte) bool {
	return f.digits == nil || slices.ContainsFunc(f.digits, func(d []byte) bool { return bytes.Contains(summary, d) })
}

// decide takes a row whose summary was read.
func (s *search) decide(feed *bolt.Bucket, b *block, row int) error {
	p := s.rankIn(b, row)
	switch s.sorting.by {
	case byFrom:
		p.setText(s.summary.parties[0])
	case byTo:
		p.setText(s.summary.parties[1])
	}
	if !s.wants(&p) {
		return nil
	}
	ok := true
	if s.summary.flags&flagCut != 0 && s.filter.textual || s.filter.part {
		rec, err := s.d.record(feed, s.summary.seq)
		if err != nil {
			return err
		}
		ok = s.filter.record(rec)
	} else {
		for i := range s.filter.terms {
			ok = ok && s.filter.terms[i].in(&s.summary, p.num)
		}
	}
	if ok {
		s.best.add(hit{p, s.summary.seq})
	}
	return nil
}

// in says whether a summary has the term.
func (t *term) in(s *summary, num uint64) bool {
	if t.num != 0 && t.num == num {
		return true
	}
	for _, w := range s.words {
		if slices.Contains(t.words, w) {
			return true
		}
	}
	for _, part := range t.texts {
		for _, number := range s.numbers {
			if t.lower && hasUpper(number) {
				number = bytes.ToLower(number)
			}
			if bytes.Contains(number, []byte(part)) {
				return true
			}
		}
		if !t.lower {
			continue
		}
		for _, name := range s.names {
			if bytes.Contains(name, []byte(part)) {
				return true
			}
		}
	}
	return false
}

// hasUpper says that a text may change in small letters; most numbers are digits.
func hasUpper(text []byte) bool {
	return slices.ContainsFunc(text, func(c byte) bool { return c >= 'A' && c <= 'Z' || c >= 0x80 })
}
