package schedule_test

import _ "time/tzdata" // the zones are tested wherever the tests run
