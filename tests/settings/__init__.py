"""Every documented setting and every value of the chart: does it do something, and what its page says?"""
