package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"sync"
	"time"
)

// Options is how a Server behaves. The zero value plays as recorded, with the
// stamps moved to now.
type Options struct {
	User, Secret string

	// Speed is how many times faster than recorded it goes, the PBX's own clock
	// included; 0 is 1.
	Speed float64
	// Unpaced plays without waiting at all: nothing depends on the clock. It
	// begins, and after a break goes on, when somebody has subscribed and
	// somebody has asked for the channels that are up; with CoalesceLogin the
	// first event does not wait for the question.
	Unpaced bool
	// Lead is the pause between the first subscription and the first event; where
	// nothing is paced, the time for which nobody may have asked anything before
	// it begins and after a break goes on: a survey over several connections
	// takes its time. Who asks without end is waited for a few times as long.
	Lead time.Duration
	// KeepTime leaves the stamps as recorded.
	KeepTime bool
	// NoStamps is an Asterisk without timestampevents.
	NoStamps bool
	// WithCDR sends Asterisk's Cdr and CEL events too.
	WithCDR bool
	// Chop, if not zero, writes in pieces of 1 to Chop bytes.
	Chop int
	// CoalesceLogin sends the first login's response and the first event in one
	// piece.
	CoalesceLogin bool
	// Anew is a process that has just been started: another one than whoever
	// recorded had, or than was there before on the same Address.
	Anew bool
	// Address is where it listens, host:port; "" is a free port of loopback.
	Address string
	// Mute, if not nil, says of which messages nobody hears although they are
	// true: of a PBX that loses events.
	Mute func(Message) bool
	// Cuts are breaks besides the recorded ones.
	Cuts []Cut
}

// Server is a PBX on a loopback address.
type Server struct {
	options Options
	kind    string
	next    Programme
	first   *playing

	started, done chan struct{}
	startOnce     sync.Once

	back      chan struct{} // somebody has subscribed
	wg        sync.WaitGroup
	address   string
	downUntil time.Duration // the timeline's own

	mu       sync.Mutex // everything below, and the state inside pbx
	pbx      pbx
	listener net.Listener
	conns    map[*conn]bool
	accepted uint64
	closed   bool
	actedAt  time.Time     // when a client asked for something, last
	heard    bool          // somebody has subscribed,
	asked    bool          // and asked for the channels, since the last break
	zero     time.Time     // the PBX's clock at the programme's beginning
	paceFrom time.Time     // when the programme began; the zero time: not yet
	position time.Duration // of the last message
}

// pbx is what differs between the two kinds. Its methods are called with the
// Server locked, except sort and serve.
type pbx interface {
	// sort tells the events of a recording from what answered the recorder.
	sort(m Message) messageKind
	// begin takes what the recorder was answered at the beginning of a connection
	// as the state of the PBX.
	begin(t *playing, part int)
	// play takes one message into the state and sends it to whom it concerns.
	play(t *playing, m Message)
	// serve talks with one client until it leaves.
	serve(c *conn) error
}

type messageKind uint8

const (
	isEvent  messageKind = iota
	isAnswer             // to a question about the state of the PBX
	isNoise              // to the recorder's login and commands
)

// playing is a track that has begun.
type playing struct {
	Track
	rewrite Rewrite
	said    []Message
	answers map[int][]Message // by part
	i, part int
}

func (t *playing) at() time.Duration { return t.At + t.said[t.i].At }

// Listen opens a loopback port and makes the PBX ready; Run plays. kind is
// Asterisk or FreeSWITCH, and everything in the programme must be of it.
func Listen(kind string, programme Programme, o Options) (*Server, error) {
	if o.Speed <= 0 {
		o.Speed = 1
	}
	s := &Server{options: o, kind: kind, next: programme, started: make(chan struct{}), done: make(chan struct{}),
		conns: map[*conn]bool{}, back: make(chan struct{}, 1), zero: time.Now()}
	switch kind {
	case Asterisk:
		s.pbx = newAMI(s)
	case FreeSWITCH:
		s.pbx = newESL(s)
	default:
		return nil, fmt.Errorf("replay a PBX of kind %q: want %s or %s", kind, Asterisk, FreeSWITCH)
	}
	upcoming, ok := programme()
	if !ok {
		return nil, errors.New("replay a PBX: the programme is empty")
	}
	s.first = s.open(upcoming) // before anybody can ask for its channels
	l, err := net.Listen("tcp", cmp.Or(o.Address, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("replay a PBX: %w", err)
	}
	s.listener, s.address = l, l.Addr().String()
	return s, nil
}

// Addr is where the PBX listens; it stays the same through breaks.
func (s *Server) Addr() string { return s.address }

// Started is closed when the programme begins.
func (s *Server) Started() <-chan struct{} { return s.started }

// Done is closed when the programme has ended; the PBX stays until Run ends.
func (s *Server) Done() <-chan struct{} { return s.done }

// Run serves and plays until ctx ends, and leaves nothing behind.
func (s *Server) Run(ctx context.Context) error {
	s.wg.Go(func() { s.accept(s.listener) })
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	err := s.timeline(ctx)
	if err == nil {
		<-ctx.Done()
	}
	s.close()
	s.wg.Wait()
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

func (s *Server) close() {
	s.mu.Lock()
	s.closed = true
	s.disconnect()
	s.mu.Unlock()
}

// disconnect drops the listener and every client, as a broken network does.
func (s *Server) disconnect() {
	_ = s.listener.Close()
	for c := range s.conns {
		c.drop()
	}
}

func (s *Server) accept(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = nc.Close()
			return
		}
		s.accepted++
		c := newConn(nc, s.options.Chop, s.accepted)
		s.conns[c] = true
		s.mu.Unlock()
		s.wg.Go(c.writeAll)
		s.wg.Go(func() {
			_ = s.pbx.serve(c) // a client that breaks off is no fault of ours
			close(c.left)
			c.finish()
			<-c.gone
			_ = c.net.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		})
	}
}

// subscribed and surveyed start the timeline, or let it go on after a break.
func (s *Server) subscribed() {
	s.heard = true
	if !s.options.Unpaced || s.options.CoalesceLogin || s.asked {
		s.startOnce.Do(func() { close(s.started) })
	}
	s.ready()
}

func (s *Server) surveyed() {
	s.asked = true
	if s.heard {
		s.startOnce.Do(func() { close(s.started) })
	}
	s.ready()
}

// ready says that whoever is there knows how things stand.
func (s *Server) ready() {
	if s.heard && s.asked {
		select {
		case s.back <- struct{}{}:
		default:
		}
	}
}

func (s *Server) mute(m Message) bool { return s.options.Mute != nil && s.options.Mute(m) }

// booted is since when the process runs.
func (s *Server) booted() time.Time {
	if s.options.Anew {
		return s.clock()
	}
	return s.clock().Add(-time.Hour)
}

// now is where the programme is.
func (s *Server) now() time.Duration {
	if s.options.Unpaced || s.paceFrom.IsZero() {
		return s.position
	}
	return max(s.position, time.Duration(float64(time.Since(s.paceFrom))*s.options.Speed))
}

// clock is the PBX's own.
func (s *Server) clock() time.Time {
	if s.paceFrom.IsZero() {
		return time.Now()
	}
	return s.zero.Add(s.now())
}

func (s *Server) sleepUntil(ctx context.Context, at time.Duration) error {
	if s.options.Unpaced {
		return ctx.Err()
	}
	s.mu.Lock()
	wait := time.Duration(float64(at-s.now()) / s.options.Speed)
	s.mu.Unlock()
	return sleep(ctx, wait)
}

func sleep(ctx context.Context, d time.Duration) error {
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// timeline plays the programme from the first subscription on, whoever is
// there.
func (s *Server) timeline(ctx context.Context) error {
	on := []*playing{s.first}
	upcoming, more := s.next()
	cuts := slices.Concat(s.first.Recording.Cuts, s.options.Cuts)
	slices.SortFunc(cuts, func(a, b Cut) int { return cmp.Compare(a.At, b.At) })

	select {
	case <-s.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.lead(ctx); err != nil {
		return err
	}
	s.start(s.first)
	coalesced := s.options.Unpaced && s.options.CoalesceLogin
	for {
		on = slices.DeleteFunc(on, func(t *playing) bool { return t.i == len(t.said) })
		if len(on) == 0 && !more {
			break
		}
		if more && (len(on) == 0 || upcoming.At <= earliest(on).at()) {
			if err := s.sleepUntil(ctx, upcoming.At); err != nil {
				return err
			}
			on = append(on, s.open(upcoming))
			upcoming, more = s.next()
			continue
		}
		t := earliest(on)
		for len(cuts) > 0 && cuts[0].At <= t.at() {
			if err := s.cut(ctx, cuts[0]); err != nil {
				return err
			}
			cuts = cuts[1:]
		}
		s.turn(t)
		if err := s.mend(ctx, t.at()); err != nil {
			return err
		}
		if err := s.sleepUntil(ctx, t.at()); err != nil {
			return err
		}
		s.step(t)
		if coalesced && !s.holding() {
			coalesced = false
			if err := s.awaitReady(ctx); err != nil {
				return err
			}
		}
	}
	for _, c := range cuts {
		if err := s.cut(ctx, c); err != nil {
			return err
		}
	}
	if err := s.mend(ctx, math.MaxInt64); err != nil {
		return err
	}
	s.mu.Lock()
	for c := range s.conns {
		c.release()
	}
	s.mu.Unlock()
	close(s.done)
	return nil
}

// open begins a track.
func (s *Server) open(t Track) *playing {
	p := &playing{Track: t, answers: map[int][]Message{}}
	for _, m := range t.Recording.Messages() {
		switch s.pbx.sort(m) {
		case isEvent:
			p.said = append(p.said, m)
		case isAnswer:
			p.answers[m.Part] = append(p.answers[m.Part], m)
		case isNoise:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setRewrite(p)
	s.pbx.begin(p, 0)
	return p
}

func (s *Server) setRewrite(p *playing) {
	p.rewrite = Rewrite{NoStamps: s.options.NoStamps, Round: p.Round, Numbers: p.Numbers}
	if !s.options.KeepTime {
		p.rewrite.Shift = s.zero.Add(p.At).Sub(p.Recording.T0)
	}
}

// start sets the clocks going.
func (s *Server) start(first *playing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.CoalesceLogin && len(first.said) > 0 {
		s.position = first.at() // no pause between the login and the first event
	}
	now := time.Now()
	s.zero = now.Add(-s.position)
	s.paceFrom = now.Add(-time.Duration(float64(s.position) / s.options.Speed))
	s.setRewrite(first)
}

func earliest(on []*playing) *playing {
	return slices.MinFunc(on, func(a, b *playing) int { return cmp.Compare(a.at(), b.at()) })
}

// holding says that a client still waits for its first event.
func (s *Server) holding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.held != nil {
			return true
		}
	}
	return false
}

// turn begins the next part, if the track has come to one: while nobody is
// connected, so that who asks then is told what the recorder was told.
func (s *Server) turn(t *playing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if part := t.said[t.i].Part; part != t.part {
		t.part = part
		s.pbx.begin(t, part)
	}
}

// step plays one message.
func (s *Server) step(t *playing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.position = t.at()
	s.pbx.play(t, t.said[t.i])
	t.i++
}

// cut breaks every connection at c.At; until mend nobody hears anything.
func (s *Server) cut(ctx context.Context, c Cut) error {
	if err := s.mend(ctx, c.At); err != nil {
		return err
	}
	if err := s.sleepUntil(ctx, c.At); err != nil {
		return err
	}
	s.downUntil = c.At + c.Down
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Unpaced {
		// What was said before the break has arrived, however long it took.
		_ = s.listener.Close()
		there := slices.Collect(maps.Keys(s.conns))
		s.mu.Unlock()
		for _, c := range there {
			c.closeWhole()
		}
		s.mu.Lock()
	}
	s.disconnect()
	return nil
}

// mend ends a break that is over at the given moment.
func (s *Server) mend(ctx context.Context, at time.Duration) error {
	if s.downUntil == 0 || at < s.downUntil {
		return nil
	}
	if err := s.sleepUntil(ctx, s.downUntil); err != nil {
		return err
	}
	select { // what was before the break
	case <-s.back:
	default:
	}
	s.mu.Lock()
	s.heard, s.asked = false, false
	s.position = max(s.position, s.downUntil)
	s.mu.Unlock()
	s.downUntil = 0
	if err := s.listenAgain(ctx); err != nil {
		return err
	}
	if !s.options.Unpaced {
		return nil
	}
	return s.awaitReady(ctx)
}

func (s *Server) awaitReady(ctx context.Context) error {
	select {
	case <-s.back:
	case <-ctx.Done():
	}
	return s.lead(ctx)
}

// leadMost is how often the lead begins again because somebody has asked.
const leadMost = 5

// lead waits as Options.Lead says.
func (s *Server) lead(ctx context.Context) error {
	wait := s.options.Lead
	for n := 0; wait > 0 && n < leadMost; n++ {
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		if !s.options.Unpaced {
			break
		}
		s.mu.Lock()
		wait = s.options.Lead - time.Since(s.actedAt)
		s.mu.Unlock()
	}
	return ctx.Err()
}

// listenAgain takes the same port; the system may hold on to it for a moment.
func (s *Server) listenAgain(ctx context.Context) error {
	for {
		l, err := net.Listen("tcp", s.address)
		if err == nil {
			s.mu.Lock()
			s.listener = l
			if s.closed {
				_ = l.Close()
			}
			s.mu.Unlock()
			s.wg.Go(func() { s.accept(l) })
			return nil
		}
		if sleep(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("listen again on %s: %w", s.address, err)
		}
	}
}
