package freeswitch

import (
	"strings"
	"testing"
)

// TestNormalise_events holds what single events state that the recordings in
// this project do not have.
func TestNormalise_events(t *testing.T) {
	member := []string{"Event-Name", "CHANNEL_CREATE", "Unique-ID", "m", "Channel-Call-UUID", "m", "Call-Direction", "outbound",
		"Channel-Name", "sofia/internal/1001@192.0.2.1", "Caller-Destination-Number", "1001", "Caller-Caller-ID-Number", "79161234567",
		"variable_dialed_user", "1001", "variable_fifo_bridge_uuid", "c", "variable_fifo_name", "desk@pbx"}
	ended := []string{"Event-Name", "CHANNEL_HANGUP_COMPLETE", "Unique-ID", "p", "Call-Direction", "outbound", "variable_originator", "c",
		"Channel-Name", "sofia/internal/1001@192.0.2.1", "Hangup-Cause", "NO_ANSWER", "variable_sip_redirected_to", "<sip:1005@192.0.2.5>"}
	fifo := func(action string) []string {
		return []string{"Event-Name", "CUSTOM", "Event-Subclass", "fifo::info", "Unique-ID", "c", "FIFO-Name", "desk@pbx", "FIFO-Action", action}
	}
	for name, c := range map[string]struct {
		headers []string
		want    string
	}{
		"mod_fifo takes a caller in":     {fifo("push"), "0 A Queued queue=desk@pbx"},
		"its caller is fetched":          {fifo("caller_pop"), "0 A Unqueued queue=desk@pbx"},
		"its caller leaves":              {fifo("abort"), "0 A Unqueued queue=desk@pbx"},
		"who fetches is another's":       {fifo("consumer_pop"), ""},
		"who fetches stays for the next": {append(fifo("consumer_start"), "variable_current_application_data", "desk@pbx out wait /moh"), "0 A Executed app=15 data=desk@pbx_out_wait_/moh"},
		"who fetches only one does not":  {append(fifo("consumer_start"), "variable_current_application_data", "desk@pbx out nowait"), ""},
		"mod_fifo calls a member":        {member, "0 A LegCreated peer=B channel=sofia/internal/1001@192.0.2.1 endpoint=1001 number=1001 dialled=1001 connected=79161234567 queue=desk@pbx"},
		"a 302 that nobody answered":     {ended, "0 A  number=1005\n"},
		"nor is a loopback's a 302":      {append([]string{"Channel-Name", "loopback/1001-a"}, ended...), ""},
		"nor what the caller was told":   {append([]string{"Call-Direction", "inbound"}, ended...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := make(Message)
			for i := len(c.headers) - 2; i >= 0; i -= 2 { // the first of a name stands
				m[recased(c.headers[i])] = c.headers[i+1]
			}
			var b brief
			got := new(strings.Builder)
			for _, e := range Normalise(m, 1) {
				got.WriteString(strings.TrimSpace(b.line(e)) + "\n")
			}
			if c.want == "" {
				if strings.Contains(got.String(), "queue") || strings.Contains(got.String(), "Executed") || strings.Contains(got.String(), " number=1005") {
					t.Errorf("states %s", got)
				}
			} else if !strings.HasPrefix(got.String(), c.want) {
				t.Errorf("states\n%swant\n%s", got, c.want)
			}
		})
	}
}
