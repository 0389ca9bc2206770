package capture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// eslPlain are the headers that only FreeSWITCH itself writes.
var eslPlain = set(`Event-Name Event-Subclass Event-Date-Timestamp Core-UUID Call-Direction Answer-State Other-Type
	Caller-Channel-Created-Time Caller-Channel-Progress-Time Caller-Channel-Progress-Media-Time Caller-Channel-Answered-Time
	Caller-Channel-Bridged-Time Caller-Channel-Hangup-Time Hangup-Cause variable_sip_authorized variable_current_application
	variable_hangup_cause_q850 variable_sip_hangup_disposition variable_sip_invite_failure_status variable_sip_term_status
	variable_session_id variable_loopback_app variable_endpoint_disposition variable_transfer_disposition variable_originate_disposition
	variable_originate_failed_cause variable_last_bridge_hangup_cause variable_bridge_hangup_cause variable_loopback_hangup_cause
	variable_last_app variable_cc_cause variable_cc_cancel_reason variable_hold_events CC-Action CC-Cause CC-Cancel-Reason Action
	Conference-Size FIFO-Action VM-Action VM-Message-Len fax-success fax-document-transferred-pages Session-Since-Startup Session-Count Uptime-msec
	FreeSWITCH-Version`)

// eslText are those in which anything may stand; ids of channels stay there too.
var eslText = set(`Unique-ID Old-Unique-ID Channel-Call-UUID Other-Leg-Unique-ID Bridge-A-Unique-ID Bridge-B-Unique-ID Channel-Name
	Caller-Caller-ID-Name Caller-Caller-ID-Number Caller-Orig-Caller-ID-Name Caller-Orig-Caller-ID-Number Caller-Destination-Number
	Caller-RDNIS Caller-Context variable_originating_leg_uuid variable_originator variable_other_loopback_leg_uuid
	variable_loopback_app_arg variable_cc_member_session_uuid variable_cc_queue variable_fifo_bridge_uuid variable_fifo_name FIFO-Name
	variable_sip_gateway_name variable_sip_gateway
	variable_user_name variable_dialed_user variable_accountcode variable_current_application_data variable_transfer_to
	variable_transfer_destination variable_refer_uuid variable_sip_redirected_to variable_sip_h_Referred-By variable_last_bridge_to variable_last_arg
	variable_bridge_uuid variable_conference_uuid Record-File-Path CC-Queue CC-Member-Session-UUID CC-Agent CC-Agent-UUID Valet-Extension
	Valet-Lot-Name Bridge-To-UUID Conference-Name Conference-Unique-ID VM-User VM-File-Path VM-UUID fax-result-text
	fax-remote-station-id variable_fax_filename`)

// rowPlain and rowText are the columns of "show channels".
var (
	rowPlain = set(`direction created_epoch application callstate`)
	rowText  = set(`uuid name cid_num dest application_data context accountcode call_uuid initial_cid_name initial_cid_num initial_dest`)
)

// eslTreatment is what becomes of a header of an event, or of a variable.
func eslTreatment(name string) treatment {
	name = strings.ToLower(name)
	switch {
	case name == "variable_transfer_history":
		return asMoves
	case eslPlain[name]:
		return asPlain
	case eslText[name]:
		return asText
	}
	return leaveOut
}

func rowTreatment(name string) treatment {
	switch {
	case rowPlain[name]:
		return asPlain
	case rowText[name]:
		return asText
	}
	return leaveOut
}

// frame masks one frame of the event socket.
func (m *Mask) frame(msg []byte) []byte {
	head, body, _ := bytes.Cut(msg, []byte("\n\n"))
	switch {
	case bytes.Contains(head, []byte("text/event-json")):
		masked := m.object(body, eslTreatment)
		if masked == nil {
			return nil
		}
		return append(fmt.Appendf(nil, "Content-Length: %d\nContent-Type: text/event-json\n\n", len(masked)), masked...)
	case bytes.Contains(head, []byte("text/disconnect-notice")):
		return []byte("Content-Type: text/disconnect-notice\n\n")
	}
	return nil
}

// object masks a JSON object of texts and lists of texts; nil if it is none.
func (m *Mask) object(body []byte, how func(string) treatment) []byte {
	var in map[string]any
	if json.Unmarshal(body, &in) != nil {
		return nil
	}
	return m.encode(m.fields(in, how))
}

func (m *Mask) fields(in map[string]any, how func(string) treatment) map[string]any {
	out := make(map[string]any, len(in))
	for name, v := range in {
		t := how(name)
		if t == leaveOut {
			continue
		}
		switch v := v.(type) {
		case string:
			out[name] = m.value(t, v)
		case []any:
			list := make([]any, 0, len(v))
			for _, x := range v {
				if s, ok := x.(string); ok {
					list = append(list, m.value(t, s))
				}
			}
			out[name] = list
		}
	}
	return out
}

func (m *Mask) encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(v) != nil {
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// statusKept are the lines of "status" that are read.
var statusKept = regexp.MustCompile(`^(UP [\w ,]*|FreeSWITCH \(Version [\w .+~-]*\)[a-z ]*)$`)

// answer masks a question and its answer.
func (m *Mask) answer(data []byte) []byte {
	question, text, _ := bytes.Cut(data, []byte("\n"))
	command := strings.TrimPrefix(string(question), "api ")
	var masked []byte
	switch word, _, _ := strings.Cut(command, " "); {
	case word == "status":
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimRight(line, "\r\n"); statusKept.MatchString(line) {
				masked = append(append(masked, line...), '\n')
			}
		}
	case word == "show":
		var table struct {
			Rows []map[string]any `json:"rows"`
		}
		if json.Unmarshal(text, &table) == nil {
			for i, row := range table.Rows {
				table.Rows[i] = m.fields(row, rowTreatment)
			}
			masked = m.encode(table)
		}
	case word == "uuid_dump" && bytes.HasPrefix(text, []byte("{")):
		masked = m.object(text, eslTreatment)
	case word == "uuid_dump" && bytes.HasPrefix(text, []byte("-ERR No such channel")):
		masked = []byte("-ERR No such channel!")
	case word == "uuid_exists":
		masked = []byte("error")
		if t := bytes.TrimSpace(text); bytes.Equal(t, []byte("true")) || bytes.Equal(t, []byte("false")) {
			masked = t
		}
	default:
		masked = []byte(m.Text(string(text)))
	}
	// The ids of channels in a question are masked as they are in the list.
	word, rest, _ := strings.Cut(command, " ")
	out := "api " + word
	switch {
	case word == "uuid_dump":
		out += " " + m.Text(strings.TrimSuffix(rest, " json")) + " json"
	case word == "uuid_exists":
		out += " " + m.Text(rest)
	case rest != "":
		out += " " + rest
	}
	return append(append([]byte(out), '\n'), masked...)
}
