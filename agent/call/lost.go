package call

// lost says that a fact must have been lost, because others presuppose it: who
// leaves a bridge has entered it, who is up was answered, who is dialled was
// dialled by someone. A protocol without sequence numbers shows its losses in
// no other way.
func (s *story) lost() (fact uint64, why string) {
	inside := map[LegID]map[string]bool{}
	counted := map[string]bool{} // bridges whose members the PBX counts, and so tells every entry and exit
	dialled, queued := map[LegID]bool{}, map[string]bool{}
	stood := map[LegID]bool{} // legs that a list has shown: what came before is not known, and that is said elsewhere
	for i := range s.facts {
		e := &s.facts[i]
		switch e.Kind {
		case LegSeen:
			stood[e.Leg] = true
		case Joined:
			if e.BridgeKind == BridgeTalk {
				if inside[e.Leg] == nil {
					inside[e.Leg] = map[string]bool{}
				}
				inside[e.Leg][e.Bridge] = true
				counted[e.Bridge] = counted[e.Bridge] || e.Members > 0
			}
			if l := s.legs[e.Leg]; l != nil && l.real() && e.State == StateUp && !stood[e.Leg] && l.factOf(LegAnswered) == 0 && l.history == nil {
				return e.N, "a leg is in a bridge and its answer was not seen"
			}
		case Parted:
			if e.BridgeKind == BridgeTalk && !inside[e.Leg][e.Bridge] && !stood[e.Leg] && s.entersCounted() {
				return e.N, "a leg leaves a bridge that it was not seen to enter"
			}
			delete(inside[e.Leg], e.Bridge)
		case LegEnded:
			for b := range inside[e.Leg] {
				if counted[b] {
					return e.N, "a leg ended in a bridge that it was not seen to leave"
				}
			}
		case Dialled:
			dialled[e.Peer] = true
		case DialEnded:
			if l := s.legs[e.Peer]; e.Leg != "" && l != nil && !l.calling && !dialled[e.Peer] && !stood[e.Peer] {
				return e.N, "a dialling ended that was not seen to begin"
			}
		case Queued:
			queued[e.Queue] = true // a transfer may put another leg in its place
		case Unqueued:
			if !queued[e.Queue] && !stood[e.Leg] {
				return e.N, "a leg left a queue that it was not seen to enter"
			}
		}
	}
	for _, l := range s.order {
		if l.local && !stood[l.id] && l.history == nil && s.pairs[l.id] == "" && s.now == 0 {
			return l.factOf(LegCreated), "half of a Local channel without the other"
		}
	}
	return 0, ""
}

// entersCounted: this PBX counts who is in a bridge.
func (s *story) entersCounted() bool {
	for i := range s.facts {
		if s.facts[i].Kind == Joined && s.facts[i].Members > 0 {
			return true
		}
	}
	return false
}
