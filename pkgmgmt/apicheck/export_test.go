package apicheck

// Names for the tests.
var (
	Before     = before
	Judgements = judgement
)

// Publish lays a module into a folder that is a proxy.
func Publish(m Module, root string) error {
	m, err := m.checked()
	if err != nil {
		return err
	}
	return m.publish(root)
}
