package schedule_test

import _ "time/tzdata" // for machines without a tz database
