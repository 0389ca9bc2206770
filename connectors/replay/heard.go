package replay

import (
	"slices"

	"calljournal/connectors/wire"
)

// Heard gives the recording as a link hears it, for a connector to read again:
// each connection a session, with no survey of the PBX at its beginning, for the
// recorder asked in its own way.
func (r *Recording) Heard() []wire.Chunk {
	stream, chunks := r.Stream, slices.Clone(r.Chunks)
	parts := r.Parts
	if len(parts) == 0 {
		parts = []Part{{Bytes: len(stream)}}
	}
	var out []wire.Chunk
	for i, p := range parts {
		left := p.Bytes
		if i == len(parts)-1 {
			left = len(stream)
		}
		out = append(out, wire.Chunk{Kind: wire.Began, Seen: r.T0.Add(p.Start).UnixMicro(), Data: []byte("not from its beginning")})
		for left > 0 && len(chunks) > 0 && len(stream) > 0 {
			n := min(chunks[0].Bytes, left, len(stream))
			out = append(out, wire.Chunk{Seen: r.T0.Add(chunks[0].At).UnixMicro(), Data: stream[:n]})
			stream, left = stream[n:], left-n
			if chunks[0].Bytes -= n; chunks[0].Bytes == 0 {
				chunks = chunks[1:]
			}
		}
		if i < len(r.Cuts) {
			out = append(out, wire.Chunk{Kind: wire.Ended, Seen: r.T0.Add(r.Cuts[i].At).UnixMicro(), Data: []byte("cut")})
		}
	}
	return out
}
