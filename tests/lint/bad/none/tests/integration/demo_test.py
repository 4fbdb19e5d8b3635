# lint:allow(sleep): polls a condition with a deadline
time.sleep(0.01)
