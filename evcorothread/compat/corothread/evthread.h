// The name under which programs written for the first EVCOROTHREAD include the C face.
#pragma once

#include "evcorothread/evthread.h"
