// lint:allow(clock): there is no clock here
