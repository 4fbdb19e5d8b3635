// lint:allow(everything): why not
