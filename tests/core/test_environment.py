"""What looks like a setting and is none is named, with the setting that was probably meant."""

from flstore_core.environment import SETTINGS, misspelt


def test_misspelt_settings_are_named_with_the_nearest() -> None:
    env = {"FLSTORE_POLICYS": "lru", "FLSTORE_MAX_UPLOAD": "1", "FLSTORE_ZZZ": "1", "POLICYS": "1"}
    assert misspelt(env) == [
        "FLSTORE_MAX_UPLOAD is no setting of FLStore; nearest: FLSTORE_UPLOAD_LIMIT",
        "FLSTORE_POLICYS is no setting of FLStore; nearest: FLSTORE_POLICY",
        "FLSTORE_ZZZ is no setting of FLStore",
    ]


def test_settings_and_what_development_reads_are_not_named() -> None:
    assert misspelt(dict.fromkeys([*SETTINGS, "FLSTORE_COMPILE", "FLSTORE_E2E_URL"], "1")) == []
