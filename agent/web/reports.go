package web

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"calljournal/agent/access"
	"calljournal/agent/api"
)

// reportsPage is where the report of a period is made.
type reportsPage struct {
	*selection
	Ask       []chip   // what the interface is asked, as hidden fields
	Formats   []string // the first is what most want
	Languages []option

	Mailings []mailing // reports and alerts by mail, for who sees all calls
	Mails    bool      // who looks sees them
	Admin    bool      // and may have a report mailed now
	Sent     string    // the report that was mailed a moment ago
}

// mailing is a report or an alert that is mailed.
type mailing struct {
	Kind, Name string
	To         []api.Mailing // each address
	Send       string        // where it is asked for now; "": it cannot be
}

func (s *Site) reports(v *visit) (any, error) {
	sel, err := v.selection("last-month", "sent")
	if err != nil {
		return nil, err
	}
	p := &reportsPage{selection: sel, Formats: []string{"pdf", "xlsx", "csv"}}
	ask := sel.Query()
	if word := sel.Period.Word; word != "" { // the report names it, and knows that it is not over
		ask.Del("from")
		ask.Del("to")
		ask.Set("period", word)
	}
	for _, name := range slices.Sorted(maps.Keys(ask)) {
		for _, value := range ask[name] {
			p.Ask = append(p.Ask, chip{Name: name, Text: value})
		}
	}
	for _, l := range s.words.all {
		p.Languages = append(p.Languages, option{l.Code, l.Name, l == v.Lang})
	}
	p.Admin, p.Sent = v.User.Scope == access.ScopeAdmin, sel.Asked("sent")
	if p.Mails = !v.User.Limited(); !p.Mails {
		return p, nil
	}
	st, err := v.Client.Status(v.Context())
	if err != nil {
		return nil, err
	}
	for _, m := range st.Mailings {
		i := slices.IndexFunc(p.Mailings, func(o mailing) bool { return o.Kind == m.Kind && o.Name == m.Name })
		if i < 0 {
			i = len(p.Mailings)
			one := mailing{Kind: m.Kind, Name: m.Name}
			if p.Admin && m.Kind == "report" {
				one.Send = "/reports/" + url.PathEscape(m.Name) + "/send"
			}
			p.Mailings = append(p.Mailings, one)
		}
		p.Mailings[i].To = append(p.Mailings[i].To, m)
	}
	return p, nil
}

// sendReport has a report of the configuration mailed now. What fails is not tried
// again, so it is said here and nowhere else.
func (s *Site) sendReport(v *visit) (any, error) {
	name := v.PathValue("name")
	done, err := v.Client.SendReport(v.Context(), name)
	if err != nil {
		return nil, err
	}
	var failed []string
	for _, m := range done.Mails {
		if m.Error != "" {
			failed = append(failed, m.To+": "+m.Error)
		}
	}
	if len(failed) > 0 {
		return nil, &api.Refusal{Status: http.StatusBadGateway, Text: strings.Join(failed, "; ")}
	}
	return nil, v.redirect("/reports?" + url.Values{"sent": {name}}.Encode())
}
