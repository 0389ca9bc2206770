package access

import (
	"context"
	"sync"
)

// Places bounds what readers do at the same time: how many things in all, and how
// many of one reader, so that nobody takes what all of them need.
type Places struct {
	all, each int

	mu    sync.Mutex
	sum   int
	taken map[string]int
	freed chan struct{} // closed when a place becomes free
}

// NewPlaces makes so many places, of which one reader may take each.
func NewPlaces(all, each int) *Places {
	return &Places{all: all, each: each, taken: map[string]int{}, freed: make(chan struct{})}
}

// Take gives a reader a place until leave is called; ok is false if none is free
// for him.
func (p *Places) Take(who string) (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sum >= p.all || p.taken[who] >= p.each {
		return nil, false
	}
	p.sum++
	p.taken[who]++
	return sync.OnceFunc(func() { p.leave(who) }), true
}

// Wait is Take that waits for a place as long as ctx lasts.
func (p *Places) Wait(ctx context.Context, who string) (leave func(), err error) {
	for {
		p.mu.Lock()
		freed := p.freed // before looking, so that none that becomes free is missed
		p.mu.Unlock()
		if leave, ok := p.Take(who); ok {
			return leave, nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (p *Places) leave(who string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum--
	if p.taken[who]--; p.taken[who] == 0 {
		delete(p.taken, who)
	}
	close(p.freed)
	p.freed = make(chan struct{})
}
