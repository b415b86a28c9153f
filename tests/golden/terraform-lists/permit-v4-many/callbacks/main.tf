# Sources of payment callbacks for terraform, rendered by callgate. Do not edit: change the policy.
# mode permit: a security group admits nobody that no rule of it names
# policy example revision 3 digest 7d5a5a17a2c6cc9f (Example Pay)
# 7 IPv4 and 0 IPv6 prefixes
# An address list is not authentication: verify each callback as well.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "security_group_id" {
  description = "The security group that receives the callbacks"
  type        = string
}

locals {
  callbacks_v4 = {
    "13.50.187.51/32"    = "callgate example/all active (Cloud)"
    "20.91.170.120/30"   = "callgate example/all active (Cloud)"
    "20.91.170.124/30"   = "callgate example/all active (Cloud)"
    "51.21.32.255/32"    = "callgate example/all active (Cloud)"
    "91.132.170.0/32"    = "callgate example/all active (Cloud)"
    "91.132.170.1/32"    = "callgate example/all active (Cloud)"
    "223.255.255.255/32" = "callgate example/all active (Cloud)"
  }
}

resource "aws_ec2_managed_prefix_list" "callbacks_v4" {
  name           = "callgate-callbacks-v4"
  address_family = "IPv4"
  max_entries    = 40

  dynamic "entry" {
    for_each = local.callbacks_v4
    content {
      cidr        = entry.key
      description = entry.value
    }
  }
}

resource "aws_vpc_security_group_ingress_rule" "callbacks_v4_443" {
  security_group_id = var.security_group_id
  prefix_list_id    = aws_ec2_managed_prefix_list.callbacks_v4.id
  from_port         = 443
  to_port           = 443
  ip_protocol       = "tcp"
  description       = "payment callbacks, callgate"
}
