package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// Reading a bbolt file without bbolt. bbolt follows page numbers as they stand
// in the file, some of it in goroutines of its own: a damaged file makes faults,
// endless recursion and panics that nobody can recover. So before bbolt is given
// a file, every page that it would follow is looked at here, with every bound
// checked; and what bbolt cannot open, salvage reads by the same means.
//
//	page:   id(8) flags(2) count(2) overflow(4), then count elements, then data
//	meta:   magic version pageSize flags (4 each), root(8) sequence(8) freelist(8)
//	        pages(8) transaction(8) fnv64a(8)
//	branch: pos(4) ksize(4) page(8); pos counts from the element itself
//	leaf:   flags(4) pos(4) ksize(4) vsize(4)
//	bucket: root(8) sequence(8), and if root is 0 a leaf page inside the value
const (
	pageHeader    = 16
	elementBytes  = 16
	bucketHeader  = 16
	metaBytes     = 64
	metaMagic     = 0xED0CDAED
	metaVersion   = 2
	noFreelist    = ^uint64(0)
	leafIsBucket  = 1
	maxTreeHeight = 32

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10
)

// order is that of every machine that we build for; bbolt writes the machine's.
var order = binary.LittleEndian

// boltMeta is one of the two meta pages: where the tree of a transaction begins.
type boltMeta struct {
	pageSize    int
	root        uint64
	freelist    uint64
	pages       uint64 // number of the first page that was never used
	transaction uint64
}

func parseMeta(page []byte) (boltMeta, bool) {
	if len(page) < pageHeader+metaBytes || order.Uint16(page[8:]) != flagMeta {
		return boltMeta{}, false
	}
	b := page[pageHeader : pageHeader+metaBytes]
	h := fnv.New64a()
	h.Write(b[:metaBytes-8])
	m := boltMeta{
		pageSize: int(order.Uint32(b[8:])), root: order.Uint64(b[16:]),
		freelist: order.Uint64(b[32:]), pages: order.Uint64(b[40:]), transaction: order.Uint64(b[48:]),
	}
	ok := order.Uint32(b) == metaMagic && order.Uint32(b[4:]) == metaVersion && order.Uint64(b[56:]) == h.Sum64() &&
		m.pageSize >= 512 && m.pageSize <= 1<<24 && m.pageSize&(m.pageSize-1) == 0
	return m, ok
}

// boltFile is a bbolt file seen as pages.
type boltFile struct {
	r     io.ReaderAt
	size  int64
	metas []boltMeta // the sound ones, newest first
}

func readBoltFile(r io.ReaderAt, size int64) (*boltFile, error) {
	f := &boltFile{r: r, size: size}
	// The second meta page is one page from the start, whatever a page is; where
	// the first is hurt, try all sizes as bbolt does.
	for at := int64(0); at <= 1<<24; {
		page := make([]byte, pageHeader+metaBytes)
		if _, err := r.ReadAt(page, at); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		m, ok := parseMeta(page)
		if ok && (at == 0 || at == int64(m.pageSize)) {
			f.metas = append(f.metas, m)
		}
		switch {
		case at == 0 && ok:
			at = int64(m.pageSize)
		case at == 0:
			at = 1024
		case ok || len(f.metas) > 0:
			at = 1<<24 + 1
		default:
			at *= 2
		}
	}
	if len(f.metas) == 0 {
		return nil, fmt.Errorf("%w: neither of the two first pages says where the data is", ErrDamaged)
	}
	slices.SortFunc(f.metas, func(a, b boltMeta) int {
		if a.transaction > b.transaction {
			return -1
		}
		return 1
	})
	return f, nil
}

// metaOf finds the meta page that a transaction has written into an open file,
// nil if there is none.
func metaOf(f *os.File, transaction uint64) (page []byte, at int64, err error) {
	for _, at := range []int64{0, pageBytes} {
		page := make([]byte, pageBytes)
		if _, err := f.ReadAt(page, at); err != nil {
			return nil, 0, err
		}
		if m, ok := parseMeta(page); ok && m.transaction == transaction {
			return page, at, nil
		}
	}
	return nil, 0, nil
}

// boltPage is a page with its overflow, its bounds checked.
type boltPage struct {
	id    uint64
	flags uint16
	count int
	span  uint64 // pages that it takes
	data  []byte
}

type element struct {
	bucket bool
	key    []byte
	value  []byte
	child  uint64
}

// walker reads one tree of a boltFile.
type walker struct {
	f        *boltFile
	meta     boltMeta
	seen     []uint64 // one bit per page
	buf      [maxTreeHeight][]byte
	leaf     func(l location, e element) // every key that is not a bucket
	bad      func(page uint64, what string)
	only     string // the one bucket to look into, if set
	stopped  bool
	pageSize int
}

// location says where a key stands: the page, its place in it, and the bucket.
type location struct {
	bucket string
	page   uint64
	index  int
	inline bool // inside the value of its bucket; page and index are the bucket's
	end    int  // capacity of the page's bytes
}

// offset gives the place in the file of a value at l. All slices of a page go on
// to its end, so what is left of one says where it begins.
func (l location) offset(pageSize int, value []byte) int64 {
	return int64(l.page)*int64(pageSize) + int64(l.end-cap(value))
}

func (f *boltFile) newWalker(m boltMeta) *walker {
	pages := min(m.pages, uint64(f.size/int64(m.pageSize)))
	return &walker{
		f: f, meta: m, pageSize: m.pageSize, seen: make([]uint64, pages/64+1),
		leaf: func(location, element) {}, bad: func(uint64, string) {},
	}
}

// mark notes that the pages are in use and says whether they were not before.
func (w *walker) mark(id, span uint64) bool {
	for ; span > 0; id, span = id+1, span-1 {
		if w.seen[id/64]&(1<<(id%64)) != 0 {
			return false
		}
		w.seen[id/64] |= 1 << (id % 64)
	}
	return true
}

// read reads a page with its overflow.
func (w *walker) read(id uint64, buf []byte) (boltPage, []byte, error) {
	inFile := uint64(w.f.size) / uint64(w.pageSize)
	if id < 2 || id >= w.meta.pages || id >= inFile {
		return boltPage{}, buf, fmt.Errorf("not one of the %d pages", min(w.meta.pages, inFile))
	}
	if cap(buf) < w.pageSize {
		buf = make([]byte, w.pageSize)
	}
	buf = buf[:w.pageSize]
	if _, err := w.f.r.ReadAt(buf, int64(id)*int64(w.pageSize)); err != nil {
		return boltPage{}, buf, err
	}
	p := boltPage{
		id: order.Uint64(buf), flags: order.Uint16(buf[8:]), count: int(order.Uint16(buf[10:])),
		span: 1 + uint64(order.Uint32(buf[12:])),
	}
	switch {
	case p.id != id:
		return p, buf, fmt.Errorf("it calls itself page %d", p.id)
	case p.flags != flagBranch && p.flags != flagLeaf && p.flags != flagFreelist:
		return p, buf, fmt.Errorf("of unknown type %#x", p.flags)
	case p.span > w.meta.pages-id || p.span > inFile-id:
		return p, buf, fmt.Errorf("it goes on for %d pages, beyond the end", p.span)
	}
	if whole := int(p.span) * w.pageSize; whole > w.pageSize {
		if cap(buf) < whole {
			buf = slices.Grow(buf, whole-len(buf))
		}
		buf = buf[:whole]
		if _, err := w.f.r.ReadAt(buf[w.pageSize:], int64(id+1)*int64(w.pageSize)); err != nil {
			return p, buf, err
		}
	}
	p.data = buf
	return p, buf, nil
}

// element gives the i-th element of a page; ok is false where it points outside.
func (p *boltPage) element(i int) (e element, ok bool) {
	at := pageHeader + i*elementBytes
	if at+elementBytes > len(p.data) {
		return e, false
	}
	b := p.data[at:]
	var pos, ksize, vsize uint64
	if p.flags == flagBranch {
		pos, ksize, e.child = uint64(order.Uint32(b)), uint64(order.Uint32(b[4:])), order.Uint64(b[8:])
	} else {
		e.bucket = order.Uint32(b)&leafIsBucket != 0
		pos, ksize, vsize = uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[8:])), uint64(order.Uint32(b[12:]))
	}
	if pos < elementBytes || pos+ksize+vsize > uint64(len(b)) {
		return e, false
	}
	e.key, e.value = b[pos:pos+ksize], b[pos+ksize:pos+ksize+vsize]
	return e, true
}

// tree follows the pages below id, whose keys are at least low and below high.
func (w *walker) tree(id uint64, bucket string, low, high []byte, depth int) {
	if w.stopped {
		return
	}
	if depth >= maxTreeHeight {
		w.bad(id, "the tree is too high")
		return
	}
	p, buf, err := w.read(id, w.buf[depth])
	w.buf[depth] = buf
	if err == nil && p.flags == flagFreelist {
		err = errors.New("a list of free pages where data belongs")
	}
	if err == nil && p.flags == flagBranch && p.count == 0 {
		err = errors.New("a branch without leaves")
	}
	if err != nil {
		w.bad(id, err.Error())
		return
	}
	if !w.mark(id, p.span) {
		w.bad(id, "used twice")
		return
	}
	w.elements(&p, bucket, location{bucket: bucket, page: id, end: cap(p.data)}, low, high, depth)
}

func (w *walker) elements(p *boltPage, bucket string, at location, low, high []byte, depth int) {
	var last []byte
	for i := range p.count {
		e, ok := p.element(i)
		switch {
		case !ok:
			w.bad(at.page, fmt.Sprintf("element %d of %d points outside", i, p.count))
			continue
		case i > 0 && bytes.Compare(e.key, last) <= 0,
			i == 0 && bytes.Compare(e.key, low) < 0,
			high != nil && bytes.Compare(e.key, high) >= 0:
			w.bad(at.page, fmt.Sprintf("key %d of %d is not in order", i, p.count))
			continue
		}
		last = e.key
		if p.flags == flagBranch {
			next := high
			if i+1 < p.count {
				if n, ok := p.element(i + 1); ok {
					next = n.key
				}
			}
			w.tree(e.child, bucket, e.key, next, depth+1)
		} else {
			if !at.inline {
				at.index = i
			}
			w.element(e, bucket, at, depth)
		}
		if w.stopped {
			return
		}
	}
}

// element takes one key of a leaf: a value, or a bucket with a tree of its own.
func (w *walker) element(e element, bucket string, at location, depth int) {
	if !e.bucket {
		if bucket == "" {
			w.bad(at.page, "a value where only buckets belong")
			return
		}
		w.leaf(at, e)
		return
	}
	if bucket != "" {
		w.bad(at.page, "a bucket inside "+bucket)
		return
	}
	if len(e.value) < bucketHeader {
		w.bad(at.page, "a bucket too short to be one")
		return
	}
	name, root := string(e.key), order.Uint64(e.value)
	if w.only != "" && w.only != name {
		return
	}
	if root != 0 {
		w.tree(root, name, nil, nil, depth+1)
		return
	}
	inline := e.value[bucketHeader:]
	if len(inline) < pageHeader || order.Uint16(inline[8:]) != flagLeaf {
		w.bad(at.page, "bucket "+name+" is not one")
		return
	}
	p := boltPage{flags: flagLeaf, count: int(order.Uint16(inline[10:])), data: inline}
	w.elements(&p, name, location{bucket: name, page: at.page, index: at.index, inline: true, end: at.end}, nil, nil, depth)
}

// free checks the list of free pages, if one was written: bbolt would write over
// whatever stands in it.
func (w *walker) free() {
	if w.meta.freelist == noFreelist {
		return
	}
	p, _, err := w.read(w.meta.freelist, nil)
	if err == nil && p.flags != flagFreelist {
		err = errors.New("not the list of free pages")
	}
	if err != nil {
		w.bad(w.meta.freelist, err.Error())
		return
	}
	if !w.mark(p.id, p.span) {
		w.bad(p.id, "used twice")
		return
	}
	count, at := uint64(p.count), uint64(pageHeader)
	if p.count == 0xFFFF {
		count, at = order.Uint64(p.data[at:]), at+8
	}
	if count > (uint64(len(p.data))-at)/8 {
		w.bad(p.id, "more free pages than fit")
		return
	}
	for i := range count {
		id := order.Uint64(p.data[at+8*i:])
		if id < 2 || id >= w.meta.pages || id >= uint64(w.f.size)/uint64(w.pageSize) || !w.mark(id, 1) {
			w.bad(p.id, fmt.Sprintf("page %d is free and in use", id))
			return
		}
	}
}

// metaFault says what is wrong with the two meta pages, "" if nothing. Each
// transaction writes one of them, in turn, and bbolt falls back to the other if
// one is hurt: to the journal as it was a commit ago, whose next numbers were
// already given out. A write that a power cut interrupts leaves the page as it
// was, for what counts in it is smaller than any disk's sector.
//
// A copy that bbolt made has its transaction in the first page and the one before
// in the second, whichever turn it was. If it was the other's, the first commit to
// the copy leaves two of the same turn: two apart, which nothing else can do.
func (f *boltFile) metaFault() string {
	switch {
	case len(f.metas) < 2:
		return "one of the two first pages is hurt"
	case f.metas[0].transaction != f.metas[1].transaction+1 && f.metas[0].transaction != f.metas[1].transaction+2:
		return fmt.Sprintf("transactions %d and %d do not follow each other", f.metas[1].transaction, f.metas[0].transaction)
	case f.metas[0].pages > uint64(f.size)/uint64(f.metas[0].pageSize):
		return fmt.Sprintf("the file ends after %d of %d pages", f.size/int64(f.metas[0].pageSize), f.metas[0].pages)
	}
	return ""
}
