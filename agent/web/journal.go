package web

// journal is the table of calls.
func (s *Site) journal(v *visit) (any, error) {
	return v.Client.Calls(v.Context(), v.URL.Query())
}
