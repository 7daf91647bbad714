"""What counts towards tiers and for how long, what is known of a member's tier, and tiers given by hand."""

import cloudpos.ids
import cloudpos.tenancy.constraints
import cloudpos.tenancy.fields
import django.db.models.deletion
import django.utils.timezone
from decimal import Decimal
from cloudpos.migration_operations import Together
from django.db import migrations, models


# A tier given by hand never changes, but for its ending, for the customer that a merge gives it to, and for the words that an
# erasure takes.
FUNCTION = """
CREATE FUNCTION refuse_override_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ending CONSTANT text[] := ARRAY['ended_at', 'ended_by', 'end_reason'];
    free CONSTANT text[] := ARRAY['customer_id', 'reason', 'end_reason'];
BEGIN
    IF TG_OP = 'UPDATE' AND to_jsonb(NEW) - (ending || free) = to_jsonb(OLD) - (ending || free)
        AND NEW.reason IN (OLD.reason, '')
        AND (OLD.ended_at IS NULL
            OR (NEW.ended_at, NEW.ended_by) IS NOT DISTINCT FROM (OLD.ended_at, OLD.ended_by)
                AND NEW.end_reason IN (OLD.end_reason, '')) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% on % is refused: end it and give another one', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER loyalty_tier_overrides_append_only BEFORE UPDATE OR DELETE ON loyalty_tier_overrides
    FOR EACH ROW EXECUTE FUNCTION refuse_override_change();
"""
BEFORE = """
DROP TRIGGER loyalty_tier_overrides_append_only ON loyalty_tier_overrides;
DROP FUNCTION refuse_override_change();
"""


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0012_merchant_by_reference"),
        ("loyalty", "0015_program_policies"),
        ("tenancy", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="TierOverride",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=cloudpos.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("tier", models.CharField(help_text="Its code", max_length=20)),
                (
                    "mode",
                    models.CharField(
                        choices=[("at_least", "At least this tier"), ("exactly", "Exactly this tier")],
                        max_length=10,
                    ),
                ),
                ("begins_at", models.DateTimeField()),
                (
                    "until",
                    models.DateTimeField(
                        blank=True, help_text="The first instant at which it is over", null=True
                    ),
                ),
                ("reason", models.CharField(max_length=200)),
                ("actor_id", models.UUIDField(blank=True, null=True)),
                ("recorded_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("ended_at", models.DateTimeField(blank=True, help_text="When it was taken back", null=True)),
                ("ended_by", models.UUIDField(blank=True, null=True)),
                ("end_reason", models.CharField(blank=True, max_length=200)),
            ],
            options={
                "db_table": "loyalty_tier_overrides",
            },
        ),
        migrations.RenameField(model_name="enrollment", old_name="qualifying_spend", new_name="net_spend"),
        migrations.AddField(
            model_name="enrollment",
            name="amount_until",
            field=models.DateTimeField(
                blank=True,
                help_text="The first instant at which the amount falls by itself; empty: never",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="enrollment",
            name="net_spend",
            field=models.DecimalField(
                decimal_places=2,
                default=Decimal("0"),
                help_text="Of all purchases, less returns",
                max_digits=14,
            ),
        ),
        Together(
            migrations.AddField(
                model_name="enrollment",
                name="qualifying_amount",
                field=models.DecimalField(
                    db_default=Decimal("0"),
                    decimal_places=2,
                    default=Decimal("0"),
                    help_text="What counts towards tiers: money or points",
                    max_digits=16,
                ),
            ),
            migrations.AddField(
                model_name="enrollment",
                name="tier_at",
                field=models.DateTimeField(blank=True, null=True),
            ),
            migrations.AddField(
                model_name="enrollment",
                name="tier_revision",
                field=models.IntegerField(
                    db_default=0, default=0, help_text="The program's revision by which they were worked out"
                ),
            ),
            migrations.AddField(
                model_name="enrollment",
                name="tier_until",
                field=models.DateTimeField(
                    blank=True,
                    help_text="Before this the tier does not change by itself; empty: it never does",
                    null=True,
                ),
            ),
            migrations.AddField(
                model_name="program",
                name="tier_downgrade",
                field=models.CharField(
                    choices=[
                        ("immediate", "As soon as what counts is too little"),
                        ("period_end", "After another period without reaching it again"),
                        ("never", "Never"),
                    ],
                    default="immediate",
                    max_length=10,
                ),
            ),
            migrations.AddField(
                model_name="program",
                name="tier_grace_days",
                field=models.PositiveSmallIntegerField(
                    default=0, help_text="How much longer a tier is kept that is no longer reached"
                ),
            ),
            migrations.AddField(
                model_name="program",
                name="tier_metric",
                field=models.CharField(
                    choices=[("spend", "Money spent"), ("points", "Points earned by purchases")],
                    default="spend",
                    max_length=10,
                ),
            ),
            migrations.AddField(
                model_name="program",
                name="tier_months",
                field=models.PositiveSmallIntegerField(
                    blank=True, help_text="How long a purchase counts, to the end of the day", null=True
                ),
            ),
            migrations.AddField(
                model_name="program",
                name="tier_window",
                field=models.CharField(
                    choices=[
                        ("lifetime", "All purchases"),
                        ("rolling", "Purchases of the last months"),
                        ("calendar_year", "Purchases of the calendar year"),
                    ],
                    default="lifetime",
                    max_length=15,
                ),
            ),
            migrations.AddField(
                model_name="tier",
                name="benefits",
                field=models.JSONField(
                    blank=True, default=list, help_text="What else members have of it: short texts"
                ),
            ),
            migrations.AddIndex(
                model_name="enrollment",
                index=models.Index(
                    condition=models.Q(("tier_until__isnull", False)),
                    fields=["merchant", "tier_until"],
                    name="loyalty_enrollments_review_idx",
                ),
            ),
            migrations.AddConstraint(
                model_name="program",
                constraint=models.CheckConstraint(
                    condition=models.Q(
                        models.Q(
                            ("tier_downgrade", "immediate"),
                            ("tier_months__isnull", True),
                            ("tier_window", "lifetime"),
                        ),
                        models.Q(("tier_months__gte", 1), ("tier_months__lte", 120), ("tier_window", "rolling")),
                        models.Q(("tier_months__isnull", True), ("tier_window", "calendar_year")),
                        _connector="OR",
                    ),
                    name="loyalty_programs_tier_window",
                ),
            ),
            migrations.AddConstraint(
                model_name="program",
                constraint=models.CheckConstraint(
                    condition=models.Q(
                        ("tier_grace_days", 0),
                        models.Q(
                            ("tier_grace_days__lte", 365),
                            models.Q(("tier_window", "lifetime"), _negated=True),
                            models.Q(("tier_downgrade", "never"), _negated=True),
                        ),
                        _connector="OR",
                    ),
                    name="loyalty_programs_tier_grace",
                ),
            ),
            migrations.AddConstraint(
                model_name="program",
                constraint=models.CheckConstraint(
                    condition=models.Q(
                        ("tier_metric__in", ["spend", "points"]),
                        ("tier_downgrade__in", ["immediate", "period_end", "never"]),
                    ),
                    name="loyalty_programs_tier_words",
                ),
            ),
            migrations.AddField(
                model_name="tieroverride",
                name="customer",
                field=cloudpos.tenancy.fields.TenantForeignKey(
                    db_index=False,
                    on_delete=django.db.models.deletion.PROTECT,
                    related_name="tier_overrides",
                    to="customers.customer",
                ),
            ),
            migrations.AddField(
                model_name="tieroverride",
                name="merchant",
                field=models.ForeignKey(
                    db_index=False,
                    on_delete=django.db.models.deletion.PROTECT,
                    related_name="+",
                    to="tenancy.merchant",
                ),
            ),
            migrations.AddField(
                model_name="tieroverride",
                name="program",
                field=cloudpos.tenancy.fields.TenantForeignKey(
                    db_index=False,
                    on_delete=django.db.models.deletion.PROTECT,
                    related_name="tier_overrides",
                    to="loyalty.program",
                ),
            ),
            migrations.AddIndex(
                model_name="tieroverride",
                index=models.Index(fields=["merchant", "customer"], name="loyalty_tier_overrides_idx"),
            ),
            migrations.AddConstraint(
                model_name="tieroverride",
                constraint=models.UniqueConstraint(
                    fields=("merchant", "id"), name="loyalty_tier_overrides_merchant_id_uniq"
                ),
            ),
            migrations.AddConstraint(
                model_name="tieroverride",
                constraint=cloudpos.tenancy.constraints.TenantReference(
                    field="customer", name="loyalty_tier_overrides_customer_tenant_fk"
                ),
            ),
            migrations.AddConstraint(
                model_name="tieroverride",
                constraint=cloudpos.tenancy.constraints.TenantReference(
                    field="program", name="loyalty_tier_overrides_program_tenant_fk"
                ),
            ),
            migrations.AddConstraint(
                model_name="tieroverride",
                constraint=models.CheckConstraint(
                    condition=models.Q(("mode__in", ["at_least", "exactly"])), name="loyalty_tier_overrides_mode"
                ),
            ),
            migrations.AddConstraint(
                model_name="tieroverride",
                constraint=models.CheckConstraint(
                    condition=models.Q(
                        ("until__isnull", True), ("until__gt", models.F("begins_at")), _connector="OR"
                    ),
                    name="loyalty_tier_overrides_until_later",
                ),
            ),
            migrations.AddConstraint(
                model_name="tieroverride",
                constraint=models.CheckConstraint(
                    condition=models.Q(
                        models.Q(("end_reason", ""), ("ended_at__isnull", True), ("ended_by__isnull", True)),
                        ("ended_at__gte", models.F("begins_at")),
                        _connector="OR",
                    ),
                    name="loyalty_tier_overrides_ended",
                ),
            ),
        ),
        migrations.RunSQL(FUNCTION, BEFORE),
    ]
